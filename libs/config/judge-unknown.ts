import { matchKeys } from '../policy/rule-schema.ts';
import { nearestWord } from '../values/nearest-word.ts';
import { portcullisSchema } from './sections/portcullis.ts';

/** Our own section, of which every key is known. */
const ours = 'portcullis';

/** Sections in which nothing unknown is ignored: a slip would leave a registry more open than it was to be, or less safe. */
const guards: ReadonlySet<string> = new Set([
  ...['auth', 'http', 'redis', 'storage', 'validation'],
  ours,
]);

/** Where what guards a registry stands, by the words that it is written by elsewhere. */
const places: ReadonlyMap<string, string> = new Map([
  ['auth', 'auth'],
  ['htpasswd', 'auth.htpasswd'],
  ['tls', 'http.tls'],
  ['ssl', 'http.tls'],
  ['http2', 'http.http2'],
  ['certificate', 'http.tls.certificate'],
  [ours, ours],
  ['acl', `${ours}.acl`],
  ['accesscontrol', `${ours}.acl`],
  ['maintenance', 'storage.maintenance'],
  ['readonly', 'storage.maintenance.readonly'],
  ['redis', 'redis'],
]);

/** Words of these that mean something else below redis: an option of go-redis, and its own TLS. */
const ofRedis: ReadonlyMap<string, string | undefined> = new Map([
  ['readonly', undefined],
  ['ssl', 'redis.tls'],
  ['certificate', 'redis.tls.certificate'],
]);

function placeOf(name: string, parents: readonly string[]): string | undefined {
  const [section, list] = parents;
  if (section === ours && list === 'acl' && matchKeys.includes(name)) return `match.${name}`;
  // Where it listens is one text, of an address and a port.
  if (section === 'http' && parents.length === 1 && name === 'port') return 'http.addr';
  return section === 'redis' && ofRedis.has(name) ? ofRedis.get(name) : places.get(name);
}

/** A key that is not known where it stands. */
export interface UnknownPlace {
  /** The keys that lead there. */
  parents: readonly string[];
  key: string;
  /** The keys that are known there. */
  known: readonly string[];
  /** Whether others define more keys there than we know. */
  isOpen?: boolean;
  /** What stands below it. */
  value?: unknown;
}

/** What a key is that is not known where it stands. */
export type Verdict =
  /** A key nearly like it is known there; `guards` where ignoring it would leave something open. */
  | { kind: 'misspelt'; meant: string; guards: boolean }
  /** Something that guards a registry, whose place is another. */
  | { kind: 'misplaced'; place: string }
  /** A path, `portcullis.acl`, where nested keys are meant; `guards` where ignoring it would leave something open. */
  | { kind: 'dotted'; parents: string; key: string; guards: boolean }
  /** One of our own keys, above our section. */
  | { kind: 'ours' }
  /** Something below it guards a registry, and stands elsewhere. */
  | { kind: 'holds'; inside: string; place: string }
  /** Nothing is known of it; `guards` where nothing is ignored. */
  | { kind: 'unknown'; guards: boolean }
  /** Of others who define keys there, or for whoever wrote it alone, such as what anchors of YAML are in. */
  | { kind: 'extension' };

/**
 * What a key is that is not known. The original ignores it, and so do we, but for what was meant for `portcullis`, or for
 * what guards a registry: without the rules that somebody wrote under a misspelt name, or in another section, it is open.
 */
export function judgeUnknown({ parents, key, known, isOpen, value }: UnknownPlace): Verdict {
  const name = key.toLowerCase();
  const isTop = parents.length === 0;
  if (isTop && name.startsWith('x-')) return { kind: 'extension' };
  const meant = nearestWord(key, known);
  const [top = meant ?? ''] = parents;
  // Known by that very word, elsewhere.
  const exact = meant?.toLowerCase() === name ? undefined : placeOf(name, parents);
  if (exact !== undefined) return { kind: 'misplaced', place: exact };
  if (meant !== undefined && isGuard(top)) return { kind: 'misspelt', meant, guards: true };
  if (isOpen === true) return { kind: 'extension' };
  const path = key.split('.');
  if (isTop && path.length > 1 && known.includes(path[0] ?? '')) {
    const dotted = { parents: path.slice(0, -1).join('.'), key: path.at(-1) ?? '' };
    return { kind: 'dotted', ...dotted, guards: isGuard(path[0] ?? '') };
  }
  if (isTop && name.startsWith('auth')) return { kind: 'misplaced', place: 'auth' };
  if (isTop && Object.hasOwn(portcullisSchema.shape, key)) return { kind: 'ours' };
  const inside = guardIn(value);
  if (inside !== undefined) return { kind: 'holds', inside, place: places.get(inside) ?? inside };
  if (meant !== undefined) return { kind: 'misspelt', meant, guards: false };
  return { kind: 'unknown', guards: isGuard(top) };
}

/** Whether a start must not ignore it. */
export function isRefused(verdict: Verdict): boolean {
  if ('guards' in verdict) return verdict.guards;
  return verdict.kind !== 'extension';
}

/** What may be meant, in half a sentence. */
export function hintOf(verdict: Verdict): string | undefined {
  switch (verdict.kind) {
    case 'misspelt':
      return `did you mean ${verdict.meant}?`;
    case 'misplaced':
      return `it stands at ${verdict.place}`;
    case 'dotted':
      return `write ${verdict.key} below ${verdict.parents.replaceAll('.', ', ')}`;
    case 'ours':
      return `it belongs under ${ours}`;
    case 'holds':
      return `${verdict.inside} belongs at ${verdict.place}`;
    case 'unknown':
    case 'extension':
      return undefined;
  }
}

/** Whether a section is one in which nothing unknown is ignored. */
export function isGuard(section: string): boolean {
  return guards.has(section);
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
