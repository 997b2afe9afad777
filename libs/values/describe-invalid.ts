import { z } from 'zod';

/** What zod calls kinds of values, as people do who write files. */
const kinds: Readonly<Record<string, string>> = {
  object: 'keys with their values',
  record: 'keys with their values',
  array: 'a list',
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  date: 'a time',
};

/** What is wrong with the content of a file of ours that somebody has changed, in half a sentence that names the key. */
export function describeInvalid(error: unknown): string {
  const [issue] = error instanceof z.ZodError ? error.issues : [];
  if (issue === undefined) return (error as Error).message;
  const where = issue.path.length === 0 ? 'the whole' : issue.path.join('.');
  if (issue.code !== 'invalid_type') return `${where}: ${issue.message}`;
  if (/received undefined$/.test(issue.message)) return `${where} is missing`;
  return `${where} must be ${kinds[issue.expected] ?? issue.expected}`;
}
