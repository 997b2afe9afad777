import type { z } from 'zod';
import { configurationSchema } from '#libs/config/schema/configuration.ts';
import { describeSchema, metaOf } from '#libs/config/schema/walk.ts';
import { formatDuration } from '#libs/values/duration.ts';

interface Row {
  key: string;
  initial: unknown;
  schema: z.ZodType;
}

/** The table of all keys in docs/configuration.md, made from the schema. */
export function configurationReference(): string {
  const rows = rowsOf(configurationSchema, '', defaultsOf());
  const lines = rows.map(
    (row) => `| \`${row.key}\` | ${formatDefault(row)} | ${formatBounds(row.schema)} |`,
  );
  return ['| Key | Default | Bounds |', '| --- | --- | --- |', ...lines].join('\n');
}

function defaultsOf(): unknown {
  return configurationSchema.parse({
    version: '0.1',
    storage: { filesystem: {} },
    http: { tls: {} },
    auth: { htpasswd: { path: 'x' } },
    health: { storagedriver: {} },
  });
}

function rowsOf(schema: z.ZodType, path: string, initial: unknown): Row[] {
  const node = describeSchema(schema);
  if (node.kind === 'object') {
    const open = node.open ? [{ key: `${path}.…`, initial: undefined, schema }] : [];
    const known = Object.entries(node.shape).flatMap(([key, child]) =>
      rowsOf(child, path === '' ? key : `${path}.${key}`, member(initial, key)),
    );
    return known.length + open.length === 0
      ? [{ key: path, initial, schema }]
      : [...known, ...open];
  }
  if (node.kind === 'array') return rowsOf(node.element, `${path}[]`, undefined);
  if (node.kind === 'record') return rowsOf(node.value, `${path}.<name>`, undefined);
  return [{ key: path, initial, schema }];
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function formatDefault({ initial, schema }: Row): string {
  if (initial === undefined || initial === 'x') return '';
  if (metaOf(schema).kind === 'duration') return `\`${formatDuration(Number(initial))}\``;
  return `\`${JSON.stringify(initial)}\``;
}

function formatBounds(schema: z.ZodType): string {
  const { kind, bounds } = metaOf(schema);
  if (bounds === undefined) return '';
  const format = kind === 'duration' ? formatDuration : String;
  const { least, most, orZero } = bounds;
  return `${format(least)} to ${format(most)}${orZero ? ', or 0' : ''}`;
}
