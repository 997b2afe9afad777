import type { z } from 'zod';
import { configurationSchema } from '#libs/config/schema/configuration.ts';
import { describeSchema } from '#libs/config/schema/walk.ts';

interface Row {
  key: string;
  initial: unknown;
}

/** The table of all keys in docs/configuration.md, made from the schema. */
export function configurationReference(): string {
  const rows = rowsOf(configurationSchema, '', defaultsOf());
  const lines = rows.map(({ key, initial }) => `| \`${key}\` | ${formatDefault(initial)} |`);
  return ['| Key | Default |', '| --- | --- |', ...lines].join('\n');
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
    const open = node.open ? [{ key: `${path}.…`, initial: undefined }] : [];
    const known = Object.entries(node.shape).flatMap(([key, child]) =>
      rowsOf(child, path === '' ? key : `${path}.${key}`, member(initial, key)),
    );
    return known.length + open.length === 0 ? [{ key: path, initial }] : [...known, ...open];
  }
  if (node.kind === 'array') return rowsOf(node.element, `${path}[]`, undefined);
  if (node.kind === 'record') return rowsOf(node.value, `${path}.<name>`, undefined);
  return [{ key: path, initial }];
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function formatDefault(value: unknown): string {
  if (value === undefined || value === 'x') return '';
  return `\`${JSON.stringify(value)}\``;
}
