/** A configuration, or a part of one, that cannot be used. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  /** @param problems a sentence for each; the message is a line for each */
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** What is wrong, by an error of one part or of several. */
export function problemsOf(error: unknown): readonly string[] {
  return error instanceof ConfigurationError ? error.problems : [(error as Error).message];
}
