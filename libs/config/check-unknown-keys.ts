import { nearestWord } from '../values/nearest-word.ts';
import type { Remark } from './remark.ts';
import { portcullisSchema } from './sections/portcullis.ts';
import type { UnknownKey } from './walk-schema.ts';

const section = 'portcullis';

/** Sections of which a slip leaves a registry more open than it was to be, or less safe. */
const guards: ReadonlySet<string> = new Set(['auth', 'http', 'redis', 'storage', 'validation']);

/** What others call a section, or put at the top; and where it stands here. */
const elsewhere: ReadonlyMap<string, string> = new Map([
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
    const standsAt = path === key ? placeOf(key) : undefined;
    const [top = ''] = path === key ? [meant] : path.split('.');
    const isGuarded = meant !== undefined && !isOpen && guards.has(top);
    if (isOurs || isGuarded) problems.push({ path, why: `unknown key${hint}` });
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

function placeOf(key: string): string | undefined {
  const name = key.toLowerCase();
  return elsewhere.get(name) ?? (name.startsWith('auth') ? 'auth' : undefined);
}
