import type { z } from 'zod';
import { secret, secretList, text } from './values.ts';

/** How a node of the schema is built, as far as overrides and checks need to know. */
export type SchemaNode =
  | { kind: 'object'; shape: Readonly<Record<string, z.ZodType>>; open: boolean }
  | { kind: 'record'; value: z.ZodType }
  | { kind: 'array'; element: z.ZodType }
  | { kind: 'text'; secret: boolean }
  | { kind: 'other' };

interface Definition {
  type: string;
  innerType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
  catchall?: z.ZodType;
  valueType?: z.ZodType;
  element?: z.ZodType;
}

/** Looks through optional, nullable and default wrappers at what a setting really is. */
export function describeSchema(schema: z.ZodType): SchemaNode {
  if (schema === secret) return { kind: 'text', secret: true };
  if (schema === text) return { kind: 'text', secret: false };
  const definition = schema.def as unknown as Definition;
  switch (definition.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
      return definition.innerType === undefined
        ? { kind: 'other' }
        : describeSchema(definition.innerType);
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

/** Dotted paths of all keys in `value` that the schema does not know. */
export function unknownKeys(value: unknown, schema: z.ZodType, path = ''): string[] {
  const node = describeSchema(schema);
  if (node.kind === 'array' && Array.isArray(value)) {
    return value.flatMap((item, index) => unknownKeys(item, node.element, `${path}[${index}]`));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const under = (key: string) => (path === '' ? key : `${path}.${key}`);
  return Object.entries(value).flatMap(([key, item]) => {
    if (node.kind === 'record') return unknownKeys(item, node.value, under(key));
    if (node.kind !== 'object') return [];
    const child = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
    if (child !== undefined) return unknownKeys(item, child, under(key));
    return node.open ? [] : [under(key)];
  });
}

/** A copy fit for printing: every secret replaced by stars. */
export function starSecrets(value: unknown, schema: z.ZodType): unknown {
  const node = describeSchema(schema);
  const isSecret = schema === secretList || (node.kind === 'text' && node.secret);
  if (isSecret && value !== undefined && value !== null) return '***';
  if (node.kind === 'array' && Array.isArray(value)) {
    return value.map((item) => starSecrets(item, node.element));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (node.kind === 'record') return [key, starSecrets(item, node.value)];
      if (node.kind !== 'object') return [key, item];
      const child = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
      return [key, child === undefined ? item : starSecrets(item, child)];
    }),
  );
}
