import type { z } from 'zod';
import { configurationSchema } from '#libs/config/configuration.ts';
import { supportTable } from '#libs/config/support.ts';
import { describeSchema, metaOf } from '#libs/config/walk-schema.ts';
import { formatDuration } from '#libs/values/duration.ts';

interface Row {
  key: string;
  initial: unknown;
  schema: z.ZodType;
  /** Its own, or that of the list or record that it is a member of. */
  meaning: string;
}

/** The table of all keys in docs/configuration.md, made from the schema. */
export function configurationReference(): string {
  const lines = supportedRows().map((row) => {
    return `| \`${row.key}\` | ${formatDefault(row)} | ${formatBounds(row.schema)} | ${escapeBars(row.meaning)} |`;
  });
  return ['| Key | Default | Bounds | Meaning |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

/** Keys that mean something here, and nobody says what. */
export function undescribedKeys(): string[] {
  return supportedRows()
    .filter(({ key, meaning }) => meaning === '' && !key.endsWith('…'))
    .map(({ key }) => key);
}

/** Without what the table of unsupported keys has. */
function supportedRows(): Row[] {
  const unsupported = supportTable.map(({ path }) => path);
  const isBelow = (key: string, path: string) =>
    key === path || /^[.[]/.test(key.slice(path.length));
  const counts = (key: string) =>
    supported.includes(key) ||
    !unsupported.some((path) => key.startsWith(path) && isBelow(key, path));
  return rowsOf(configurationSchema, '', defaultsOf()).filter(({ key }) => counts(key));
}

/** Of which the table has only one value. */
const supported = ['http.tls.minimumtls', 'http.http2.disabled', 'storage.inmemory'];

/** Bars end a cell. */
const escapeBars = (text: string) => text.replaceAll('|', '\\|');

function defaultsOf(): unknown {
  return configurationSchema.parse({
    version: '0.1',
    storage: { filesystem: {} },
    http: { tls: {} },
    auth: { htpasswd: { path: 'x' } },
    health: { storagedriver: {} },
  });
}

function rowsOf(schema: z.ZodType, path: string, initial: unknown, above = ''): Row[] {
  const node = describeSchema(schema);
  const meaning = metaOf(schema).description ?? above;
  if (node.kind === 'object') {
    const open = node.open ? [{ key: `${path}.…`, initial: undefined, schema, meaning }] : [];
    const known = Object.entries(node.shape).flatMap(([key, child]) =>
      rowsOf(child, path === '' ? key : `${path}.${key}`, member(initial, key)),
    );
    return known.length + open.length === 0
      ? [{ key: path, initial, schema, meaning }]
      : [...known, ...open];
  }
  if (node.kind === 'array') return rowsOf(node.element, `${path}[]`, undefined, meaning);
  if (node.kind === 'record') return rowsOf(node.value, `${path}.<name>`, undefined, meaning);
  return [{ key: path, initial, schema, meaning }];
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
