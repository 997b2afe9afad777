import type { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Certificate,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
} from '@peculiar/asn1-x509';

/** What RFC 5280 has a verifier look at besides names, times and signatures, which Node does. */
export interface CertificateLimits {
  /** How many authorities may stand between this one and the leaf; undefined: any number. */
  pathLength: number | undefined;
  /** Why it is not acceptable: it says something that is not understood here. */
  unfit: string | undefined;
}

/** Extensions (RFC 5280 section 4.2.1) that are understood, or of no matter for a key of tokens. */
const harmless: ReadonlySet<string> = new Set([
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_extKeyUsage,
  id_ce_subjectAltName,
  id_ce_certificatePolicies,
]);

/** @throws Error for what is not DER */
export function limitsOf({ raw }: X509Certificate): CertificateLimits {
  const { extensions = [] } = AsnConvert.parse(raw, Certificate).tbsCertificate;
  const limits: CertificateLimits = { pathLength: undefined, unfit: undefined };
  for (const { extnID, critical, extnValue } of extensions) {
    if (extnID === id_ce_nameConstraints) limits.unfit = 'it constrains names';
    else if (critical && !harmless.has(extnID)) limits.unfit = 'it has a critical extension';
    if (extnID !== id_ce_basicConstraints) continue;
    limits.pathLength = AsnConvert.parse(extnValue.buffer, BasicConstraints).pathLenConstraint;
  }
  return limits;
}
