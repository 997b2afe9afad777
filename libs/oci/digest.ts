import { createHash, type Hash } from 'node:crypto';
import { RegistryError } from './errors.ts';

/** Length of the hex part of each algorithm we can compute (image-spec, "Digests"). */
const hexLength = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof hexLength;

/** `algorithm:hex`, lower case, of an algorithm we know; made by {@link parseDigest} only. */
export type Digest = string & { readonly __brand: 'Digest' };

/** True for text that {@link parseDigest} accepts. */
export function isDigest(text: string): text is Digest {
  const [algorithm, hex, more] = text.split(':');
  if (hex === undefined || more !== undefined) return false;
  const length = Object.hasOwn(hexLength, algorithm ?? '')
    ? hexLength[algorithm as DigestAlgorithm]
    : undefined;
  return length === hex.length && /^[0-9a-f]+$/.test(hex);
}

/**
 * Reads a digest from outside.
 * @throws RegistryError DIGEST_INVALID for anything but `sha256:` or `sha512:` and lower-case hex.
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new RegistryError('DIGEST_INVALID', {
    message: `"${clip(text)}" is not a digest: expected sha256: and 64, or sha512: and 128, lower-case hexadecimal digits`,
  });
}

/** @throws RegistryError DIGEST_INVALID for an algorithm that we cannot compute */
export function parseDigestAlgorithm(text: string): DigestAlgorithm {
  if (Object.hasOwn(hexLength, text)) return text as DigestAlgorithm;
  throw new RegistryError('DIGEST_INVALID', {
    message: `"${clip(text)}" is not a supported digest algorithm: use ${Object.keys(hexLength).join(' or ')}`,
  });
}

/** The two halves of a digest. */
export function digestParts(digest: Digest): { algorithm: DigestAlgorithm; hex: string } {
  const colon = digest.indexOf(':');
  return { algorithm: digest.slice(0, colon) as DigestAlgorithm, hex: digest.slice(colon + 1) };
}

/** A running digest that can be read at any point and goes on. */
export class Digester {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: Hash;

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** The digest of all bytes so far; the digester stays usable. */
  digest(): Digest {
    return `${this.algorithm}:${this.#hash.copy().digest('hex')}` as Digest;
  }
}

/** The digest of bytes at hand. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** Whether bytes are those of a digest. */
export function isDigestOf(digest: Digest, bytes: Uint8Array): boolean {
  return digestOf(bytes, digestParts(digest).algorithm) === digest;
}

/** Bounds what an error message repeats of a client's input. */
export function clip(text: string, length = 100): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
