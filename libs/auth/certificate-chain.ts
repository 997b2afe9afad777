import { X509Certificate } from 'node:crypto';
import { UntrustedKeyError } from './verify.ts';

/** Certificates of a chain; more is nobody's. */
const longest = 5;

/**
 * Checks that a chain (RFC 7515 section 4.1.6: leaf first, DER in base64) leads to a trusted certificate, that each is
 * in its time, and that all but the leaf may sign others.
 * @returns the leaf
 * @throws UntrustedKeyError
 */
export function verifyChain(
  x5c: readonly unknown[],
  roots: readonly X509Certificate[],
  now = new Date(),
): X509Certificate {
  if (x5c.length > longest) throw new UntrustedKeyError('the certificate chain is too long');
  const chain = x5c.map(parse);
  const [leaf] = chain;
  if (leaf === undefined) throw new UntrustedKeyError('the certificate chain is empty');
  for (const [index, certificate] of chain.entries()) {
    if (now < certificate.validFromDate || now > certificate.validToDate) {
      throw new UntrustedKeyError('a certificate of the token is not valid now');
    }
    if (index > 0 && !certificate.ca) {
      throw new UntrustedKeyError('a certificate of the token may not sign others');
    }
    // A trusted certificate ends the chain, be it the leaf itself.
    if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256)) return leaf;
    if (roots.some((root) => inTime(root, now) && root.ca && isSigned(certificate, root)))
      return leaf;
    const next = chain[index + 1];
    if (next === undefined || !isSigned(certificate, next)) break;
  }
  throw new UntrustedKeyError('the certificate of the token is not by a trusted authority');
}

function inTime(certificate: X509Certificate, now: Date): boolean {
  return now >= certificate.validFromDate && now <= certificate.validToDate;
}

function isSigned(certificate: X509Certificate, by: X509Certificate): boolean {
  return certificate.checkIssued(by) && certificate.verify(by.publicKey);
}

function parse(text: unknown): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(String(text), 'base64'));
  } catch (error) {
    throw new UntrustedKeyError('a certificate of the token cannot be read', { cause: error });
  }
}
