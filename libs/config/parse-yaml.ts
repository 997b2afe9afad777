import { parseDocument } from 'yaml';

/** YAML that cannot be read; the message repeats nothing of it, for it may hold secrets. */
export class YamlError extends Error {
  /** Where it is, from 1; undefined where the parser does not say. */
  readonly line: number | undefined;

  constructor(message: string, line: number | undefined, cause: unknown) {
    super(withoutContent(message), { cause });
    this.line = line;
  }
}

/** The value of a YAML text. @throws YamlError */
export function parseYaml(text: string): unknown {
  // What it only warns of it would write to standard error, with the text.
  const document = parseDocument(text, { prettyErrors: true, logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) throw new YamlError(error.message, error.linePos?.[0].line, error);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new YamlError((cause as Error).message, undefined, cause);
  }
}

/** What the parser says, without what stands in the file there. */
function withoutContent(message: string): string {
  const [line = ''] = message.split('\n', 1);
  return line.replace(/ at line.*$/, '').replace(/(?<=[a-z)]): .*$/, '');
}
