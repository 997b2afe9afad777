import { type KeyObject, X509Certificate } from 'node:crypto';
import { limitsOf } from './certificate-extensions.ts';
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
    if (!inTime(certificate, now)) {
      throw new UntrustedKeyError('a certificate of the token is not valid now');
    }
    // Those between this one and the leaf.
    if (index > 0) assertMaySign(certificate, index - 1);
    assertUnderstood(certificate);
    // A trusted certificate ends the chain, be it the leaf itself.
    if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256)) return leaf;
    const root = roots.find((one) => inTime(one, now) && one.ca && isSigned(certificate, one));
    if (root !== undefined) {
      assertMaySign(root, index);
      assertUnderstood(root);
      return leaf;
    }
    const next = chain[index + 1];
    if (next === undefined) break;
    // Nobody vouches for it yet: what it is made of must not decide how long the look takes.
    assertUsualKey(next.publicKey);
    if (!isSigned(certificate, next)) break;
  }
  throw new UntrustedKeyError('the certificate of the token is not by a trusted authority');
}

/** @param below authorities between it and the leaf */
function assertMaySign(certificate: X509Certificate, below: number): void {
  const { pathLength } = limitsOf(certificate);
  if (certificate.ca && (pathLength === undefined || pathLength >= below)) return;
  throw new UntrustedKeyError('a certificate of the token may not sign others');
}

function assertUnderstood(certificate: X509Certificate): void {
  const { unfit } = limitsOf(certificate);
  if (unfit === undefined) return;
  throw new UntrustedKeyError(`a certificate of the token is not acceptable: ${unfit}`);
}

/** Bits of the largest RSA key, and the largest exponent, with which a signature is looked at. */
const largestRsa = { modulus: 8192, exponent: 2n ** 32n } as const;

/** @throws UntrustedKeyError for a key of a kind or size that no authority uses, and that would cost much */
function assertUsualKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): void {
  const type = String(asymmetricKeyType);
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  const isUsual = type.startsWith('rsa')
    ? modulusLength <= largestRsa.modulus && publicExponent <= largestRsa.exponent
    : type === 'ec' || type === 'ed25519';
  if (!isUsual) throw new UntrustedKeyError('a certificate of the token has an unusual key');
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
