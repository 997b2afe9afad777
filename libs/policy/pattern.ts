import { LRUCache } from 'lru-cache';
import { RE2JS } from 're2js';
import { isPathPart, isRepositoryName } from '#libs/oci/reference.ts';
import { compileGlob } from './glob.ts';

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

/** Said where the placeholders of a pattern have more values than are tried: nobody knows whether a text fits. */
export const tooMany = Symbol('too many values');

export interface Pattern {
  /**
   * Whether a text fits; linear in its length.
   * @param left ways to fill in the placeholders that may still be tried; less when it returns
   * @returns the groups of the expression, the whole first; undefined if it does not
   */
  match(
    text: string,
    values: Values,
    left?: { ways: number },
  ): readonly string[] | typeof tooMany | undefined;
}

/** Whether a pattern is known to fit a text. */
export function fits(pattern: Pattern, text: string, values: Values): boolean {
  const found = pattern.match(text, values);
  return found !== undefined && found !== tooMany;
}

export interface PatternOptions {
  /** The values of placeholders must be legal parts of a repository name: no value can widen a rule. */
  inNames: boolean;
}

const placeholder = /\$\{([^}]*)\}/g;
const fields = ['account', 'type', 'name', 'service'] as const;
type Field = (typeof fields)[number];

/** Ways to fill in the placeholders of one pattern: one for each value of those that stand in it more than once. */
export const maxWays = 400;

/** Characters of values that are put into one expression: to compile it takes some milliseconds, in which nobody is served. */
const maxCharacters = 4 * 1024;

/** Compiled expressions of one pattern are kept for so many sets of values, and so many characters of them. */
const cache = { max: 500, maxSize: 256 * 1024 };

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
  const found = [...text.matchAll(placeholder)].map((match) => match[1] ?? '');
  const names = [...new Set(found)];
  const resolvers = names.map((name) => resolverOf(name, text));
  if (/\[[^\]]*\$\{/.test(expression ?? text)) {
    throw new Error(`"${text}": a placeholder cannot stand inside [ ]`);
  }
  const test = compileTest(text, expression, names);
  if (names.length === 0) return { match: (value) => test(value, []) };
  // Where it is told to, an expression takes other letters for the same.
  const isLiteral = !/\(\?[a-zA-Z]*i/.test(expression ?? '');
  // One that stands in several places has the same value in all of them; of the others any may fit.
  const isRepeated = names.map((name) => found.filter((one) => one === name).length > 1);
  return {
    match(value, all, left = { ways: maxWays }) {
      const isLegal = (one: string) => !inNames || isLegalInName(one);
      const known = resolvers.map((resolve) => {
        const given = resolve(all);
        const usable = given.filter((one) => (!isLiteral || value.includes(one)) && isLegal(one));
        if (usable.length > 0) return [...new Set(usable)];
        // Of those that do not stand in the text one is as good as any: an expression may do without.
        const any = given.find(isLegal);
        return any === undefined ? [] : [any];
      });
      if (known.some((values) => values.length === 0)) return undefined;
      const repeated = known.filter((_, index) => isRepeated[index]);
      left.ways -= repeated.reduce((product, { length }) => product * length, 1);
      const characters = known.flat().reduce((sum, { length }) => sum + length, 0);
      if (left.ways < 0 || characters > maxCharacters) return tooMany;
      const choices = known.map((values, index) =>
        isRepeated[index] ? values.map((one) => [one]) : [values],
      );
      for (const way of combinations(choices)) {
        const groups = test(value, way);
        if (groups !== undefined) return groups;
      }
      return undefined;
    },
  };
}

/** The groups of what fits, the whole first, with these values for each placeholder. */
type Test = (text: string, values: readonly (readonly string[])[]) => readonly string[] | undefined;

/** @throws Error naming what cannot be compiled */
function compileTest(text: string, expression: string | undefined, names: string[]): Test {
  try {
    return expression === undefined ? testOfGlob(text, names) : testOfExpression(expression, names);
  } catch (error) {
    const why = (error as Error).message.replace(/^error parsing regexp: /, '');
    throw new Error(`"${text}": ${why}`, { cause: error });
  }
}

function testOfGlob(text: string, names: readonly string[]): Test {
  const fits = compileGlob(text);
  return (value, values) => {
    const named = new Map(names.map((name, index) => [name, values[index] ?? []]));
    return fits(value, named) ? [value] : undefined;
  };
}

function testOfExpression(source: string, names: readonly string[]): Test {
  const compile = (values: readonly (readonly string[])[]) =>
    RE2JS.compile(
      source.replace(placeholder, (_, name: string) => anyOf(values[names.indexOf(name)] ?? [])),
      RE2JS.DOTALL,
    );
  const fixed = compile(names.map((name) => [name]));
  if (names.length === 0) return (value) => groupsOf(fixed, value);
  const compiled = new LRUCache<string, RE2JS>({
    ...cache,
    sizeCalculation: (_, { length }) => length,
  });
  return (value, values) => {
    const key = JSON.stringify(values);
    let one = compiled.get(key);
    if (one === undefined) {
      one = compile(values);
      compiled.set(key, one);
    }
    return groupsOf(one, value);
  };
}

/** The source of an expression for one of some texts, letter by letter. */
function anyOf(texts: readonly string[]): string {
  return `(?:${texts.map((text) => RE2JS.quote(text)).join('|')})`;
}

/** Why a pattern of plain characters, `*` and `?` can fit no name of a repository; undefined where it may. */
export function describeImpossibleName(pattern: string): string | undefined {
  if (isExpression(pattern)) return undefined;
  const fixed = pattern.replaceAll(placeholder, 'a');
  if (/[{}]/.test(fixed)) {
    return `"${pattern}" fits no repository: braces mean nothing here; write a rule for each, or an expression such as /^(prod|stage)\\/.*$/`;
  }
  if (/[[\]$\\]/.test(fixed) || fixed !== pattern) return undefined;
  if (isRepositoryName(pattern.replace(/[*?]/g, 'a'))) return undefined;
  return `"${pattern}" fits no repository: names are lower-case letters and digits, with . _ or - inside parts, and / between them`;
}

/** Whether a pattern is a regular expression. */
export function isExpression(text: string): boolean {
  return /^\/.*\/$/s.test(text);
}

/** Groups that a pattern captures; 0 for what is no expression, or none that can be compiled. */
export function countGroups(text: string): number {
  if (!isExpression(text)) return 0;
  try {
    return RE2JS.compile(text.slice(1, -1).replaceAll(placeholder, 'a')).groupCount();
  } catch {
    return 0;
  }
}

/** True for a regular expression that may match anywhere in a name, which is rarely meant. */
export function isUnanchored(text: string): boolean {
  return isExpression(text) && !(text.startsWith('/^') && text.endsWith('$/'));
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
  throw new Error(`"${text}": unknown placeholder \${${name}}`);
}

function captureOf(field: Field, index: number): Resolver {
  return ({ captures }) => {
    const found = captures[field]?.[index];
    return found === undefined ? [] : [found];
  };
}

/** One value of each, in every way. */
function combinations<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>(
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
