import { LRUCache } from 'lru-cache';
import { RE2JS } from 're2js';
import { isPathPart } from '#libs/oci/reference.ts';

/** What a request says, for the placeholders of a pattern. */
export interface Values {
  account: string;
  type: string;
  name: string;
  service: string;
  labels: Readonly<Record<string, readonly string[]>>;
  /** Groups that the rule's expression for a field captured, the whole first. */
  captures: Readonly<Partial<Record<'account' | 'type' | 'name' | 'service', readonly string[]>>>;
}

export interface Pattern {
  /**
   * Whether a text fits; linear in its length.
   * @returns the groups of the expression, the whole first; undefined if it does not
   */
  match(text: string, values: Values): readonly string[] | undefined;
}

export interface PatternOptions {
  /** The values of placeholders must be legal parts of a repository name: no value can widen a rule. */
  inNames: boolean;
}

const placeholder = /\$\{([^}]*)\}/g;
const fields = ['account', 'type', 'name', 'service'] as const;
type Field = (typeof fields)[number];

/** Ways to fill in the placeholders of one pattern; labels with more values than that match nothing. */
const maxCombinations = 400;

/** Compiled expressions of one pattern, for so many sets of values. */
const cached = 500;

/**
 * Compiles one field of a rule, with docker_auth's meanings: `/…/` is a regular expression of RE2 that may
 * match anywhere; else `*` and `?` stay within a path part, `[…]` is a set, and `**` (ours) crosses parts.
 * `${account}`, `${type}`, `${name}`, `${service}`, `${labels:KEY}`, `${claim:KEY}` and `${account:1}`, a group
 * captured in the same rule, stand for what the request says, letter by letter. A label with several values
 * matches with any of them.
 * @throws Error naming what cannot be compiled
 */
export function compilePattern(text: string, { inNames }: PatternOptions): Pattern {
  const expression = /^\/(.*)\/$/s.exec(text)?.[1];
  const source = expression ?? `^${globToSource(text)}$`;
  const names = [...new Set([...text.matchAll(placeholder)].map((match) => match[1] ?? ''))];
  const resolvers = names.map((name) => resolverOf(name, text));
  if (/\[[^\]]*\$\{/.test(source)) {
    throw new Error(`"${text}": a placeholder cannot stand inside [ ]`);
  }
  const compile = (values: readonly string[]) =>
    RE2JS.compile(
      source.replace(placeholder, (_, name: string) =>
        RE2JS.quote(values[names.indexOf(name)] ?? ''),
      ),
      RE2JS.DOTALL,
    );
  let fixed: RE2JS;
  try {
    fixed = compile(names);
  } catch (error) {
    const why = (error as Error).message.replace(/^error parsing regexp: /, '');
    throw new Error(`"${text}": ${why}`, { cause: error });
  }
  if (names.length === 0) return { match: (value) => groupsOf(fixed, value) };
  const compiled = new LRUCache<string, RE2JS>({ max: cached });
  return {
    match(value, all) {
      const choices = resolvers.map((resolve) => resolve(all));
      if (choices.reduce((product, { length }) => product * length, 1) > maxCombinations)
        return undefined;
      for (const values of combinations(choices)) {
        if (inNames && !values.every(isLegalInName)) continue;
        const key = JSON.stringify(values);
        let one = compiled.get(key);
        if (one === undefined) {
          one = compile(values);
          compiled.set(key, one);
        }
        const groups = groupsOf(one, value);
        if (groups !== undefined) return groups;
      }
      return undefined;
    },
  };
}

/** True for a regular expression that may match anywhere in a name, which is rarely meant. */
export function isUnanchored(text: string): boolean {
  return /^\/.*\/$/s.test(text) && !(text.startsWith('/^') && text.endsWith('$/'));
}

/** The values a placeholder may have; none if the request says nothing of the kind. */
type Resolver = (values: Values) => readonly string[];

function resolverOf(name: string, text: string): Resolver {
  const [head = '', ...rest] = name.split(':');
  const tail = rest.join(':');
  const field = fields.find((one) => one === head);
  if (field !== undefined && tail === '') return (values) => [values[field]];
  if (field !== undefined && /^[1-9]\d?$/.test(tail)) return captureOf(field, Number(tail));
  if ((head === 'labels' || head === 'claim') && tail !== '') {
    return ({ labels }) => (Object.hasOwn(labels, tail) ? (labels[tail] ?? []) : []);
  }
  throw new Error(`"${text}": there is no placeholder \${${name}}`);
}

function captureOf(field: Field, index: number): Resolver {
  return ({ captures }) => {
    const found = captures[field]?.[index];
    return found === undefined ? [] : [found];
  };
}

/** One value of each, in every way. */
function combinations(lists: readonly (readonly string[])[]): string[][] {
  return lists.reduce<string[][]>(
    (all, list) => all.flatMap((one) => list.map((value) => [...one, value])),
    [[]],
  );
}

/** A part of a repository name, or several: `team`, `team/app`. */
function isLegalInName(value: string): boolean {
  return value.split('/').every(isPathPart);
}

function groupsOf(expression: RE2JS, text: string): readonly string[] | undefined {
  const matcher = expression.matcher(text);
  if (!matcher.find()) return undefined;
  return Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index) ?? '');
}

/** Placeholders pass through as they are, to be filled in at each look. */
function globToSource(glob: string): string {
  const tokens = /\$\{[^}]*\}|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|[\s\S]/g;
  return glob.replace(tokens, (token) => {
    if (token.startsWith('${')) return token;
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    if (token === '?') return '[^/]';
    if (token.length > 2 && token.startsWith('[')) return token;
    return RE2JS.quote(token.startsWith('\\') ? token.slice(1) : token);
  });
}
