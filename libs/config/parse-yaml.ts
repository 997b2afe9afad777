import { parseDocument, type Scalar, visit } from 'yaml';

/** YAML that cannot be read; the message repeats nothing of it, for it may hold secrets. */
export class YamlError extends Error {
  /** Where it is, from 1; undefined where the parser does not say. */
  readonly line: number | undefined;

  constructor(message: string, line: number | undefined, cause: unknown) {
    super(withoutContent(message), { cause });
    this.line = line;
  }
}

/**
 * The value of a YAML text, with the merge keys (`<<`) of YAML 1.1, which the original reads. A number or a boolean that is
 * written in another form than the usual one is text.
 * @throws YamlError
 */
export function parseYaml(text: string): unknown {
  // What it only warns of it would write to standard error, with the text.
  const document = parseDocument(text, { prettyErrors: true, logLevel: 'error', merge: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const message = sentences[error.code] ?? error.message;
    throw new YamlError(message, error.linePos?.[0].line, error);
  }
  const [tag] = document.warnings.filter(({ code }) => code === 'TAG_RESOLVE_FAILED');
  if (tag !== undefined) throw new YamlError(tagMessage, tag.linePos?.[0].line, tag);
  visit(document, { Scalar: keepAsWritten });
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new YamlError((cause as Error).message, undefined, cause);
  }
}

/** What the parser calls otherwise. */
const sentences: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here (---); put all settings into one',
  DUPLICATE_KEY: 'this key stands in the same section already; put both into one',
};

/** A tag that nobody knows stands for nothing, or is dropped: what was to be `not bob` is then anybody who did not log in. */
const tagMessage =
  'a value that begins with ! is a tag of YAML; put it in quotes (a rule that says "not" is one with effect deny)';

/** Where text is meant, `0042` is another account than 42, and `True` another than true. */
function keepAsWritten(_: unknown, node: Scalar): void {
  const isOther = typeof node.value === 'number' || typeof node.value === 'boolean';
  if (isOther && node.source !== undefined && String(node.value) !== node.source) {
    node.value = node.source;
  }
}

/** What the parser says, without what stands in the file there. */
function withoutContent(message: string): string {
  const [line = ''] = message.split('\n', 1);
  const unquoted = /(?:Alias|Anchor) cannot be|reserved character/.test(line);
  if (unquoted)
    return 'a value that begins with *, @, & or ` must be in quotes, as "*" or "@admins"';
  return line.replace(/ at line.*$/, '').replace(/(?<=[a-z)]): .*$/, '');
}
