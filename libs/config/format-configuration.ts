import { Document, isMap, isScalar, isSeq } from 'yaml';
import type { z } from 'zod';
import { formatDuration } from '../values/duration.ts';
import { redactByName, redactUrls } from '../values/secret.ts';
import { type Configuration, configurationSchema } from './configuration.ts';
import { describeSchema, metaOf } from './walk-schema.ts';

/**
 * The configuration as a config.yml that means the same, with every default written out. Only secrets are missing:
 * `***` stands for them, with which nothing starts.
 * @param explain whether a comment says what each key means
 */
export function formatConfiguration(
  configuration: Configuration,
  { explain = false } = {},
): string {
  // Anchors would have to be followed by whoever reads it.
  const document = new Document(show(configuration, configurationSchema), {
    aliasDuplicateObjects: false,
  });
  if (explain) comment(document.contents, configurationSchema);
  return document.toString();
}

/** Writes above each key what it means; in a list only in its first entry. */
function comment(contents: unknown, schema: z.ZodType): void {
  const node = describeSchema(schema);
  if (isSeq(contents) && node.kind === 'array') comment(contents.items[0], node.element);
  if (!isMap(contents)) return;
  for (const { key, value } of contents.items) {
    const name = String(key);
    const child = node.kind === 'object' ? node.shape[name] : undefined;
    const meant = node.kind === 'record' ? node.value : child;
    if (meant === undefined) continue;
    const { description } = metaOf(meant);
    if (child !== undefined && description !== undefined && isScalar(key)) {
      key.commentBefore = ` ${description}`;
    }
    comment(value, meant);
  }
}

/** The value as it is written in the file. */
function show(value: unknown, schema: z.ZodType): unknown {
  if (value === undefined || value === null) return value;
  const node = describeSchema(schema);
  switch (node.kind) {
    case 'duration':
      return formatDuration(value as number);
    case 'anything':
      return redactByName(value);
    case 'secret':
    case 'secrets':
      return value;
    case 'array':
      return Array.isArray(value) ? value.map((item) => show(item, node.element)) : value;
    case 'record':
      return mapValues(value, (_, item) => show(item, node.value));
    case 'object': {
      const known = mapValues(value, (key, item) => {
        const child = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
        return child === undefined ? item : show(item, child);
      });
      const undeclared = Object.keys(known).filter((key) => !Object.hasOwn(node.shape, key));
      const hidden = redactByName(Object.fromEntries(undeclared.map((key) => [key, known[key]])));
      return { ...known, ...(hidden as object) };
    }
    case 'text':
    case 'texts':
    case 'flag':
    case 'count':
    case 'other':
      return hideTexts(value);
  }
}

function mapValues(
  value: unknown,
  change: (key: string, item: unknown) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value as object).map(([key, item]) => [key, change(key, item)]),
  );
}

function hideTexts(value: unknown): unknown {
  if (typeof value === 'string') return redactUrls(value);
  return Array.isArray(value) ? value.map(hideTexts) : value;
}
