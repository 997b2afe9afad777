import type { z } from 'zod';
import type { Remark } from './remark.ts';
import { describeSchema, joinPath, metaOf } from './walk-schema.ts';

/**
 * Settles what is written and left empty (`key:`, `key: ""`, an empty variable), in place: such a key counts as not
 * written, unless the schema says that its default would open or widen something.
 * @returns each empty value that is refused
 */
export function settleEmptyValues(value: unknown, schema: z.ZodType, path = ''): Remark[] {
  const node = describeSchema(schema);
  if (node.kind === 'array' && Array.isArray(value)) {
    return value.flatMap((item, index) => {
      const place = `${path}[${index}]`;
      if (isEmpty(item)) return [{ path: place, why: 'is empty' }];
      return settleEmptyValues(item, node.element, place);
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const tree = value as Record<string, unknown>;
  return Object.entries(tree).flatMap(([key, item]) => {
    const place = joinPath(path, key);
    if (node.kind === 'record') return settleEmptyValues(item, node.value, place);
    if (node.kind !== 'object') return [];
    const child = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
    if (child === undefined) return [];
    if (!isEmpty(item)) return settleEmptyValues(item, child, place);
    const { empty } = metaOf(child);
    if (empty === 'kept' && typeof item === 'string') return [];
    if (empty === 'kept') return [{ path: place, why: 'is empty' }];
    if (empty !== undefined) return [{ path: place, why: `is empty; ${empty.refused}` }];
    delete tree[key];
    return [];
  });
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'string' && value.trim() === '');
}
