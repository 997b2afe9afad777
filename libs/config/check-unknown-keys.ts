import { hintOf, isRefused, judgeUnknown } from './judge-unknown.ts';
import type { Remark } from './remark.ts';
import type { UnknownKey } from './walk-schema.ts';

/** What is said of keys that are not known; see {@link judgeUnknown}. */
export function checkUnknownKeys(unknown: readonly UnknownKey[]): {
  problems: Remark[];
  warnings: Remark[];
} {
  const problems: Remark[] = [];
  const warnings: Remark[] = [];
  for (const { path, ...place } of unknown) {
    const verdict = judgeUnknown(place);
    if (verdict.kind === 'extension') continue;
    const hint = hintOf(verdict);
    const why = (text: string) => (hint === undefined ? text : `${text}; ${hint}`);
    if (isRefused(verdict)) problems.push({ path, why: why('unknown key') });
    else warnings.push({ path, why: why('unknown key; ignored') });
  }
  return { problems, warnings };
}
