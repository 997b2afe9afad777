import type { z } from 'zod';
import type { SettingMeta, ValueKind } from '../values/schema.ts';

/** How a node of the schema is built, as far as overrides, checks and printing need to know. */
export type SchemaNode =
  | { kind: 'object'; shape: Readonly<Record<string, z.ZodType>>; open: boolean }
  | { kind: 'record'; value: z.ZodType }
  | { kind: 'array'; element: z.ZodType }
  | { kind: ValueKind }
  | { kind: 'other' };

interface Definition {
  type: string;
  innerType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
  catchall?: z.ZodType;
  valueType?: z.ZodType;
  element?: z.ZodType;
}

const wrappers = ['optional', 'nullable', 'default', 'prefault'];

/** Looks through optional, nullable and default wrappers at what a setting really is. */
export function describeSchema(schema: z.ZodType): SchemaNode {
  const { kind } = metaOf(schema);
  if (kind !== undefined) return { kind };
  const definition = schema.def as unknown as Definition;
  if (wrappers.includes(definition.type) && definition.innerType !== undefined) {
    return describeSchema(definition.innerType);
  }
  switch (definition.type) {
    case 'object':
      return {
        kind: 'object',
        shape: definition.shape ?? {},
        open: (definition.catchall?.def as { type?: string } | undefined)?.type === 'unknown',
      };
    case 'record':
      return definition.valueType === undefined
        ? { kind: 'other' }
        : { kind: 'record', value: definition.valueType };
    case 'array':
      return definition.element === undefined
        ? { kind: 'other' }
        : { kind: 'array', element: definition.element };
    default:
      return { kind: 'other' };
  }
}

/** What is said of a setting, on itself or on what its wrappers hold; the outermost counts. */
export function metaOf(schema: z.ZodType): SettingMeta {
  const own = schema.meta() as SettingMeta | undefined;
  const definition = schema.def as unknown as Definition;
  const inner =
    wrappers.includes(definition.type) && definition.innerType !== undefined
      ? metaOf(definition.innerType)
      : {};
  return { ...inner, ...own };
}

/** A key that the schema does not know. */
export interface UnknownKey {
  /** Dotted. */
  path: string;
  /** The keys that lead there; entries of lists have none. */
  parents: readonly string[];
  key: string;
  /** The keys that are known where it stands. */
  known: readonly string[];
  /** Whether the section takes keys that we do not know. */
  isOpen: boolean;
  /** What stands there. */
  value: unknown;
}

/** All keys in `value` that the schema does not know. */
export function unknownKeys(
  value: unknown,
  schema: z.ZodType,
  path = '',
  parents: readonly string[] = [],
): UnknownKey[] {
  const node = describeSchema(schema);
  if (node.kind === 'array' && Array.isArray(value)) {
    return value.flatMap((item, index) =>
      unknownKeys(item, node.element, `${path}[${index}]`, parents),
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const place = joinPath(path, key);
    const below = [...parents, key];
    if (node.kind === 'record') return unknownKeys(item, node.value, place, below);
    if (node.kind !== 'object') return [];
    const child = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
    if (child !== undefined) return unknownKeys(item, child, place, below);
    const known = Object.keys(node.shape);
    return [{ path: place, parents, key, known, isOpen: node.open, value: item }];
  });
}

/** `http.tls`, `health.http[0].uri`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
}

/** The path of a key below another path: `http.tls`. */
export function joinPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
