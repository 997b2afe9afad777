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
  let document: unknown;
  try {
    // Parsed first, since a digest may be spelt with escapes.
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    addDigestsIn(bytes.toString('latin1'), all);
    return { all, subject: undefined };
  }
  const waiting = [document];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === 'string') addDigestsIn(value, all);
    else if (typeof value === 'object' && value !== null) {
      for (const one of Object.values(value)) waiting.push(one);
    }
  }
  const subject = (document as { subject?: { digest?: unknown } } | null)?.subject?.digest;
  return {
    all,
    subject: typeof subject === 'string' && isDigest(subject) ? subject : undefined,
  };
}

/** The prefix of the shortest name of an algorithm: most texts have none. */
const mark = 'sha';

function addDigestsIn(text: string, all: Set<Digest>): void {
  if (!text.includes(mark)) return;
  for (const [found] of text.matchAll(digestPattern)) if (isDigest(found)) all.add(found);
}
