import type { X509Certificate } from 'node:crypto';

/** What RFC 5280 has a verifier look at besides names, times and signatures. */
export interface CertificateLimits {
  /** How many authorities may stand between this one and the leaf; undefined: any number. */
  pathLength: number | undefined;
  /** Why it is not acceptable: it says something that is not understood here. */
  unfit: string | undefined;
}

/** Object identifiers of extensions (RFC 5280 section 4.2.1), in hexadecimal DER. */
const basicConstraints = '551d13';
const nameConstraints = '551d1e';
/** Key usage, extended key usage, alternative names, policies: understood, or of no matter for a key of tokens. */
const harmless = new Set([basicConstraints, '551d0f', '551d25', '551d11', '551d20']);

/** One element of DER. */
interface Element {
  tag: number;
  content: Buffer;
}

/** @throws Error for what is not DER */
export function limitsOf({ raw }: X509Certificate): CertificateLimits {
  const [certificate] = elements(raw);
  const [body] = elements(certificate?.content ?? Buffer.alloc(0));
  const wrapped = elements(body?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === 0xa3);
  const [list] = elements(wrapped?.content ?? Buffer.alloc(0));
  const limits: CertificateLimits = { pathLength: undefined, unfit: undefined };
  for (const { content } of elements(list?.content ?? Buffer.alloc(0))) {
    const [id, ...rest] = elements(content);
    const oid = id?.content.toString('hex') ?? '';
    const critical = rest.some(({ tag, content: flag }) => tag === 0x01 && flag[0] !== 0);
    if (oid === nameConstraints) limits.unfit = 'it constrains names';
    else if (critical && !harmless.has(oid)) limits.unfit = 'it has a critical extension';
    if (oid !== basicConstraints) continue;
    const [constraints] = elements(rest.at(-1)?.content ?? Buffer.alloc(0));
    const length = elements(constraints?.content ?? Buffer.alloc(0)).find(
      ({ tag }) => tag === 0x02,
    );
    if (length !== undefined)
      limits.pathLength = length.content.readUIntBE(0, length.content.length);
  }
  return limits;
}

/** The elements that stand one behind the other. */
function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const tag = bytes.readUInt8(at);
    let length = bytes.readUInt8(at + 1);
    at += 2;
    if (length > 0x80) {
      const size = length - 0x80;
      if (size > 4 || at + size > bytes.length) throw new Error('a certificate is not DER');
      length = bytes.readUIntBE(at, size);
      at += size;
    }
    if (at + length > bytes.length) throw new Error('a certificate is not DER');
    found.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}
