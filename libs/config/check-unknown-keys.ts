import { nearestWord } from '../values/nearest-word.ts';
import type { Remark } from './remark.ts';
import { portcullisSchema } from './sections/portcullis.ts';
import type { UnknownKey } from './walk-schema.ts';

const section = 'portcullis';

/** Keys without which a registry is more open than it was to be, or less safe. */
const guards: ReadonlySet<string> = new Set([
  'auth',
  'redis',
  'http.tls',
  'storage.maintenance',
  'storage.maintenance.readonly',
]);

/** What others call a section, or put at the top; and where it stands here. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ['authentication', 'auth'],
  ['authorization', 'auth'],
  ['htpasswd', 'auth.htpasswd'],
  ['tls', 'http.tls'],
]);

/**
 * What is said of keys that are not known. The original ignores them, and so do we with a warning, but for those
 * that were meant for `portcullis`, or for what guards a registry: without the rules that somebody wrote under a
 * misspelt name it is open.
 */
export function checkUnknownKeys(unknown: readonly UnknownKey[]): {
  problems: Remark[];
  warnings: Remark[];
} {
  const problems: Remark[] = [];
  const warnings: Remark[] = [];
  for (const { path, key, known, isOpen } of unknown) {
    const isOurs = path.startsWith(`${section}.`) || path.startsWith(`${section}[`);
    const meant = nearestWord(key, known);
    // Of what others define all keys are taken, so that only a slip is worth a word.
    if (isOpen && meant === undefined) continue;
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
    const standsAt = path === key ? elsewhere.get(key.toLowerCase()) : undefined;
    const guarded = meant !== undefined && guards.has(path.slice(0, -key.length) + meant);
    if (isOurs || guarded) problems.push({ path, why: `unknown key${hint}` });
    else if (standsAt !== undefined) {
      problems.push({ path, why: `unknown key; it is called ${standsAt} here` });
    } else if (path === key && meant === section)
      problems.push({ path, why: `unknown key${hint}` });
    else if (path === key && Object.hasOwn(portcullisSchema.shape, key)) {
      problems.push({ path, why: `unknown key; it belongs under ${section}` });
    } else warnings.push({ path, why: `unknown key; ignored${hint}` });
  }
  return { problems, warnings };
}
