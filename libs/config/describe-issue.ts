import type { z } from 'zod';
import { ruleKeys } from '../policy/rule-schema.ts';
import { nearestWord } from '../values/nearest-word.ts';
import { userKeys } from './sections/users.ts';
import { workloadKeys } from './sections/workloads.ts';

type Issue = z.core.$ZodIssue;

const kinds: Readonly<Record<string, string>> = {
  object: 'a section with keys below it',
  record: 'a section with keys below it',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
};

/**
 * What is wrong with a value, in words that need no knowledge of the schema.
 * @param root what was parsed
 * @param keys those that an unknown one may be a slip of
 */
export function describeIssue(
  issue: Issue,
  root: unknown,
  keys: readonly string[] = [...ruleKeys, ...workloadKeys, ...userKeys],
): string {
  const found = kindOf(valueAt(root, issue.path));
  if (issue.code === 'invalid_type') {
    const wanted = kinds[issue.expected];
    if (wanted === undefined || !isStandard(issue)) return issue.message;
    return found === undefined ? 'is missing' : `must be ${wanted}, not ${found}`;
  }
  if (issue.code === 'unrecognized_keys') {
    const said = issue.keys.map((key) => {
      const near = nearestWord(key, keys);
      return near === undefined || near === key
        ? `unknown key ${key}`
        : `unknown key ${key}; did you mean ${near}?`;
    });
    return said.join('; ');
  }
  if (issue.code === 'invalid_value' && isStandard(issue)) {
    return found === undefined ? 'is missing' : `must be one of ${issue.values.join(', ')}`;
  }
  if (issue.code === 'invalid_union' && isStandard(issue)) {
    return found === undefined ? 'is missing' : `cannot be ${found} here`;
  }
  if (issue.code === 'invalid_key' && isStandard(issue)) return 'is not a name that may stand here';
  return issue.message;
}

/** Whether the message is the library's own. */
function isStandard({ message }: Issue): boolean {
  return /^Invalid (?:input|option|key)/.test(message);
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined,
    root,
  );
}

/** @returns undefined for nothing */
function kindOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) ? 'a list' : kinds[typeof value];
}
