import { nearestWord } from '../values/nearest-word.ts';
import { portcullisSchema } from './sections/portcullis.ts';

/** Our own section, of which every key is known. */
const ours = 'portcullis';

/** Sections of which a slip leaves a registry more open than it was to be, or less safe. */
const guards: ReadonlySet<string> = new Set(['auth', 'http', 'redis', 'storage', 'validation']);

/** Where what guards a registry stands, by the words that it is written by elsewhere. */
const places: ReadonlyMap<string, string> = new Map([
  ['auth', 'auth'],
  ['htpasswd', 'auth.htpasswd'],
  ['tls', 'http.tls'],
  ['ssl', 'http.tls'],
  ['certificate', 'http.tls.certificate'],
  [ours, ours],
  ['acl', `${ours}.acl`],
  ['accesscontrol', `${ours}.acl`],
  ['maintenance', 'storage.maintenance'],
  ['readonly', 'storage.maintenance.readonly'],
  ['redis', 'redis'],
]);

/** A key that is not known where it stands. */
export interface UnknownPlace {
  /** The keys that lead there. */
  parents: readonly string[];
  key: string;
  /** The keys that are known there. */
  known: readonly string[];
  /** What stands below it. */
  value?: unknown;
}

/**
 * What is said of a key that is not known. The original ignores it, and so do we, but for what was meant for
 * `portcullis`, or for what guards a registry: without the rules that somebody wrote under a misspelt name, or in
 * another section, it is open.
 * @returns what may be meant, in half a sentence, and whether it is a problem
 */
export function judgeUnknown({ parents, key, known, value }: UnknownPlace): {
  hint: string | undefined;
  meant: string | undefined;
  isProblem: boolean;
} {
  const name = key.toLowerCase();
  const meant = nearestWord(key, known);
  const [top = meant ?? ''] = parents;
  const isGuarded = top === ours || (guards.has(top) && meant !== undefined);
  if (isGuarded || (top === 'auth' && parents.length > 1)) {
    return { hint: meant && `did you mean ${meant}?`, meant, isProblem: true };
  }
  const isTop = parents.length === 0;
  const place = places.get(name) ?? (isTop && name.startsWith('auth') ? 'auth' : undefined);
  if (place !== undefined) return { hint: `it stands at ${place}`, meant, isProblem: true };
  if (isTop && Object.hasOwn(portcullisSchema.shape, key)) {
    return { hint: `it belongs under ${ours}`, meant, isProblem: true };
  }
  const inside = guardIn(value);
  if (inside !== undefined) {
    return { hint: `${inside} in it stands at ${places.get(inside)}`, meant, isProblem: true };
  }
  return { hint: meant && `did you mean ${meant}?`, meant, isProblem: false };
}

/** A word below a key by which something is written that guards a registry. */
function guardIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  for (const [key, below] of Object.entries(value)) {
    const name = key.toLowerCase();
    const found = places.has(name) ? name : guardIn(below);
    if (found !== undefined) return found;
  }
  return undefined;
}
