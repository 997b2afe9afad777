import type { z } from 'zod';
import { isOneSlip } from '../values/nearest-word.ts';
import { hintOf, isGuard, isRefused, judgeUnknown, type Verdict } from './judge-unknown.ts';
import { parseYaml } from './parse-yaml.ts';
import type { Remark } from './remark.ts';
import type { Sources } from './sources.ts';
import { describeSchema, formatPath } from './walk-schema.ts';

/** Variables that begin with the prefix and are no settings. */
const notSettings = new Set(['REGISTRY_CONFIGURATION_PATH']);

/** Those of other programs that look like ours: where podman and skopeo have their logins, and what people call a proxy. */
const ofOthers = new Set(['REGISTRY_AUTH_FILE', 'REGISTRY_HTTP_PROXY', 'REGISTRY_HTTPS_PROXY']);

/** Whether a variable sets something of a configuration, or is to. */
export function isSettingVariable(name: string): boolean {
  return name.startsWith('REGISTRY_') && !notSettings.has(name);
}

/** Puts the settings of another process in the place of those that this one's environment has. @returns their names */
export function takeSettingsOf(environment: Readonly<Record<string, string>>): string[] {
  for (const name of Object.keys(process.env).filter(isSettingVariable)) delete process.env[name];
  Object.assign(process.env, environment);
  return Object.keys(environment).sort();
}

/** Segments that distribution derives from its field names, where the file's key is another. */
const fieldNames: Readonly<Record<string, string>> = {
  FILECHECKERS: 'file',
  HTTPCHECKERS: 'http',
  TCPCHECKERS: 'tcp',
  EVENTCONFIG: 'events',
  MAILOPTIONS: 'options',
  TRUSTKEY: 'signingkeyfile',
};

type Tree = Record<string, unknown>;

/**
 * Lays `REGISTRY_A_B_C=value` over a parsed configuration, as distribution does: names are cut at
 * `_`, variables are taken in lexical order, values are YAML.
 * @returns a warning for each variable that names no setting, a problem for each that was meant for `portcullis` or whose
 *   value cannot be used, and which variable set what
 */
export function applyEnvironment(
  tree: Tree,
  schema: z.ZodType,
  env: Readonly<Record<string, string | undefined>>,
): { warnings: Remark[]; problems: Remark[]; sources: Sources } {
  const warnings: Remark[] = [];
  const problems: Remark[] = [];
  const sources = new Map<string, string>();
  for (const name of Object.keys(env).sort(inOrder)) {
    const value = env[name];
    if (value === undefined || !isSettingVariable(name) || isOfKubernetes(name, value)) continue;
    const segments = name.slice('REGISTRY_'.length).split('_');
    const before = structuredClone(tree);
    try {
      const path = set({ container: tree, key: undefined, schema }, segments, value);
      sources.set(formatPath(path), name);
    } catch (error) {
      // Nor is anything left of the way to it.
      for (const key of Object.keys(tree)) delete tree[key];
      Object.assign(tree, before);
      if (!(error instanceof NoSuchSetting)) {
        problems.push({ path: name, why: (error as Error).message });
      } else {
        const { why, isProblem } = describeNoSetting(segments, error);
        if (isProblem && !ofOthers.has(name)) problems.push({ path: name, why });
        else warnings.push({ path: name, why: `${why}; ignored` });
      }
    }
  }
  return { warnings, problems, sources };
}

/** As text, but for entries of lists, which come by their numbers. */
function inOrder(one: string, other: string): number {
  const others = other.split('_');
  for (const [index, part] of one.split('_').entries()) {
    const against = others[index];
    if (against === undefined) return 1;
    if (part === against) continue;
    const areNumbers = /^\d+$/.test(part) && /^\d+$/.test(against);
    if (areNumbers) return Number(part) - Number(against);
    return part < against ? -1 : 1;
  }
  return others.length > one.split('_').length ? -1 : 0;
}

class NoSuchSetting extends Error {
  /** What there is instead, and which segment is none of it; undefined where a setting has nothing below it. */
  readonly unknown: { index: number; keys: readonly string[] } | undefined;

  constructor(unknown?: NoSuchSetting['unknown']) {
    super('there is no such setting');
    this.unknown = unknown;
  }
}

/** What is said of a variable that names no setting; see {@link judgeUnknown}. */
function describeNoSetting(
  segments: readonly string[],
  { message, unknown }: NoSuchSetting,
): { why: string; isProblem: boolean } {
  const [first = '', ...others] = segments.map((segment) => segment.toLowerCase());
  if (unknown === undefined) return { why: message, isProblem: isGuard(first) };
  const { index, keys } = unknown;
  const all = [first, ...others];
  const joined = joinedSegments(all, index, keys);
  if (joined !== undefined) {
    const right = joined.join('_').toUpperCase();
    const isProblem = isGuard(joined[0] ?? '');
    return { why: `${message}; did you mean REGISTRY_${right}?`, isProblem };
  }
  const verdict = judgeUnknown({
    parents: all.slice(0, index),
    key: all[index] ?? '',
    known: keys,
  });
  // One word behind the prefix may be of any program.
  const isNear = verdict.kind === 'misspelt' && isOneSlip(first, verdict.meant);
  const isMeant = isNear || verdict.kind === 'misplaced' || verdict.kind === 'dotted';
  if (all.length === 1 && !isMeant) {
    return { why: message, isProblem: false };
  }
  const right = rightSegments(verdict, segments, index);
  const hint = right === undefined ? hintOf(verdict) : `did you mean REGISTRY_${right.join('_')}?`;
  const why = hint === undefined ? message : `${message}; ${hint}`;
  return { why, isProblem: isRefused(verdict) };
}

/** A key that was cut at a `_` in the middle: `ROOT_DIRECTORY`, or `AUTH__HTPASSWD`. */
function joinedSegments(
  all: readonly string[],
  index: number,
  keys: readonly string[],
): string[] | undefined {
  for (let end = index + 2; end <= Math.min(all.length, index + 3); end += 1) {
    const joined = all.slice(index, end).join('');
    if (keys.includes(joined)) return [...all.slice(0, index), joined, ...all.slice(end)];
  }
  return undefined;
}

/** The variable that is meant, where it is known. */
function rightSegments(
  verdict: Verdict,
  segments: readonly string[],
  index: number,
): string[] | undefined {
  if (verdict.kind === 'misspelt') return [...segments].with(index, verdict.meant.toUpperCase());
  if (verdict.kind !== 'misplaced') return undefined;
  return [...verdict.place.toUpperCase().split('.'), ...segments.slice(index + 1)];
}

/** What Kubernetes tells the containers of a service called `registry`, or `registry-…`, and Docker those that are linked. */
function isOfKubernetes(name: string, value: string): boolean {
  return (
    /_SERVICE_(?:HOST|PORT(?:_\w+)?)$/.test(name) ||
    /_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value))
  );
}

/** A position in the tree that can be read and replaced, and what the schema says of it. */
interface TreePosition {
  container: Tree | unknown[];
  /** Undefined for the root, which is the container itself. */
  key: string | number | undefined;
  schema: z.ZodType | undefined;
}

/** @returns the keys that lead to what was set */
function set(
  position: TreePosition,
  segments: readonly string[],
  value: string,
  index = 0,
): PropertyKey[] {
  const [segment, ...rest] = segments;
  if (segment === undefined) {
    write(position, convert(position.schema, value));
    return [];
  }
  const node = position.schema === undefined ? undefined : describeSchema(position.schema);
  if (node?.kind === 'array') {
    const list = open(position, () => []) as unknown[];
    const entry = entryNumber(segment, list);
    const at = { container: list, key: entry, schema: node.element };
    return [entry, ...set(at, rest, value, index + 1)];
  }
  if ((node?.kind === 'texts' || node?.kind === 'secrets') && rest.length === 0) {
    return [setEntry(position, segment, value)];
  }
  if (node !== undefined && !['object', 'record', 'anything'].includes(node.kind)) {
    throw new NoSuchSetting();
  }
  const children = open(position, () => ({})) as Tree;
  const { key, schema } = child(children, node, segment, index);
  return [key, ...set({ container: children, key, schema }, rest, value, index + 1)];
}

/** Sets one entry of a list of texts, where one alone may stand for a list of it. @returns its number */
function setEntry(position: TreePosition, segment: string, value: string): number {
  const current =
    position.key === undefined ? undefined : (position.container as Tree)[position.key];
  const list = current === undefined || current === null ? [] : [current].flat();
  const index = entryNumber(segment, list);
  list[index] = value;
  write(position, list);
  return index;
}

/** @throws Error for one that would leave a gap */
function entryNumber(segment: string, list: readonly unknown[]): number {
  const index = /^\d+$/.test(segment) ? Number(segment) : Number.NaN;
  if (index <= list.length) return index;
  throw new Error(`index ${segment} leaves a gap: the list has ${list.length} entries`);
}

function child(
  tree: Tree,
  node: ReturnType<typeof describeSchema> | undefined,
  segment: string,
  index: number,
): { key: string; schema: z.ZodType | undefined } {
  const upper = segment.toUpperCase();
  if (node?.kind === 'object') {
    const alias = Object.hasOwn(fieldNames, upper) ? fieldNames[upper] : undefined;
    const keys = Object.keys(node.shape);
    const key =
      keys.find((name) => name.toUpperCase() === upper) ?? keys.find((name) => name === alias);
    if (key !== undefined) return { key, schema: node.shape[key] };
    if (!node.open) throw new NoSuchSetting({ index, keys });
  }
  const existing = Object.keys(tree).find((name) => name.toUpperCase() === upper);
  return {
    key: existing ?? segment.toLowerCase(),
    schema: node?.kind === 'record' ? node.value : undefined,
  };
}

function convert(schema: z.ZodType | undefined, value: string): unknown {
  // Where text is meant, `0123` stays as it is written.
  const kind = schema === undefined ? 'other' : describeSchema(schema).kind;
  if (kind === 'text' || kind === 'secret') return value;
  return parseYaml(value);
}

function write({ container, key }: TreePosition, value: unknown): void {
  if (key === undefined) throw new NoSuchSetting();
  (container as Tree)[key] = value;
}

/** The position's value as a container; a scalar or nothing there gives way. */
function open(position: TreePosition, create: () => Tree | unknown[]): Tree | unknown[] {
  if (position.key === undefined) return position.container;
  const current = (position.container as Tree)[position.key];
  if (typeof current === 'object' && current !== null) return current as Tree;
  // `auth: htpasswd`, a bare name, is the section of that name.
  const fresh = typeof current === 'string' ? { [current]: {} } : create();
  write(position, fresh);
  return fresh;
}
