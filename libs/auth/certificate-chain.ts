import { X509Certificate } from 'node:crypto';
import { limitsOf } from './certificate-extensions.ts';
import { UntrustedKeyError } from './verify.ts';

/** Certificates of a chain; more is nobody's. */
const longest = 5;

/**
 * Checks that a chain (RFC 7515 section 4.1.6: leaf first, DER in base64) leads to a trusted certificate, that each is
 * in its time, and that all but the leaf may sign others. It begins at the trusted one: no signature is looked at
 * with a key that nobody vouches for, and nothing of a chain that leads nowhere.
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
  const anchor = chain.findIndex((certificate, index) =>
    isAnchored(certificate, index, roots, now),
  );
  // A trusted certificate ends the chain, be it the leaf itself.
  for (let index = anchor; index >= 0; index -= 1) {
    const certificate = chain[index] as X509Certificate;
    if (!inTime(certificate, now)) {
      throw new UntrustedKeyError('a certificate of the token is not valid now');
    }
    assertFits(certificate, index);
    const below = chain[index - 1];
    if (below === undefined) return leaf;
    if (!isSigned(below, certificate)) break;
  }
  throw new UntrustedKeyError('the certificate of the token is not by a trusted authority');
}

/** Whether a certificate is a trusted one, or signed by one. */
function isAnchored(
  certificate: X509Certificate,
  index: number,
  roots: readonly X509Certificate[],
  now: Date,
): boolean {
  if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256)) return true;
  const root = roots.find((one) => inTime(one, now) && one.ca && isSigned(certificate, one));
  if (root === undefined) return false;
  assertFits(root, index + 1);
  return true;
}

/**
 * @param above its place over the leaf, which is 0
 * @throws UntrustedKeyError for one that may not stand there
 */
function assertFits(certificate: X509Certificate, above: number): void {
  const { pathLength, unfit } = limitsOf(certificate);
  const maySign = certificate.ca && (pathLength === undefined || pathLength >= above - 1);
  if (above > 0 && !maySign) {
    throw new UntrustedKeyError('a certificate of the token may not sign others');
  }
  if (unfit !== undefined) {
    throw new UntrustedKeyError(`a certificate of the token is not acceptable: ${unfit}`);
  }
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
