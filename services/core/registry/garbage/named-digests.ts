import { type Digest, isDigest } from '#libs/oci/digest.ts';

/** What a stored manifest names, however old or odd its form. */
export interface NamedDigests {
  /** Every digest in any field, so that nothing of a form we do not know is taken for garbage. */
  all: Set<Digest>;
  subject: Digest | undefined;
}

const digestPattern = /(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9a-f])/g;

/** Bytes that are no JSON are searched as text. */
export function namedDigests(bytes: Buffer): NamedDigests {
  const all = new Set<Digest>();
  const addFrom = (text: string) => {
    for (const [found] of text.matchAll(digestPattern)) if (isDigest(found)) all.add(found);
  };
  let document: unknown;
  try {
    // Parsed first, since a digest may be spelt with escapes.
    document = JSON.parse(bytes.toString('utf8'), (_key, value: unknown) => {
      if (typeof value === 'string') addFrom(value);
      return value;
    });
  } catch {
    addFrom(bytes.toString('latin1'));
    return { all, subject: undefined };
  }
  const subject = (document as { subject?: { digest?: unknown } } | null)?.subject?.digest;
  return {
    all,
    subject: typeof subject === 'string' && isDigest(subject) ? subject : undefined,
  };
}
