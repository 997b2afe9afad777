import { nearestWord } from '#libs/values/nearest-word.ts';

/** What can be granted on a repository; `*` is all of it, and what the catalog needs. */
export const actions = ['pull', 'push', 'delete', '*'] as const;

/**
 * Why a text is not an action, with the one that was perhaps meant: `"pul" is not an action; did you mean pull?`
 * @returns undefined if it is one
 */
export function describeInvalidAction(text: string): string | undefined {
  if ((actions as readonly string[]).includes(text)) return undefined;
  const near = nearestWord(
    text,
    actions.filter((action) => action !== '*'),
  );
  const hint = near === undefined ? `they are ${actions.join(', ')}` : `did you mean ${near}?`;
  return `"${text}" is not an action; ${hint}`;
}
