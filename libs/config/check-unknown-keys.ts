import { judgeUnknown } from './judge-unknown.ts';
import type { Remark } from './remark.ts';
import type { UnknownKey } from './walk-schema.ts';

/** What is said of keys that are not known; see {@link judgeUnknown}. */
export function checkUnknownKeys(unknown: readonly UnknownKey[]): {
  problems: Remark[];
  warnings: Remark[];
} {
  const problems: Remark[] = [];
  const warnings: Remark[] = [];
  for (const { path, key, known, isOpen, value } of unknown) {
    const parents = path
      .slice(0, -key.length)
      .split(/[.[\]]+/)
      .filter((part) => part !== '');
    const { hint, meant, isProblem } = judgeUnknown({ parents, key, known, value });
    // Of what others define all keys are taken, so that only a slip is worth a word.
    if (isOpen && meant === undefined) continue;
    const why = (text: string) => (hint === undefined ? text : `${text}; ${hint}`);
    if (isProblem && !isOpen) problems.push({ path, why: why('unknown key') });
    else warnings.push({ path, why: why('unknown key; ignored') });
  }
  return { problems, warnings };
}
