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
  if (error !== undefined) throw new YamlError(error.message, error.linePos?.[0].line, error);
  visit(document, { Scalar: keepAsWritten });
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new YamlError((cause as Error).message, undefined, cause);
  }
}

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
  return line.replace(/ at line.*$/, '').replace(/(?<=[a-z)]): .*$/, '');
}
