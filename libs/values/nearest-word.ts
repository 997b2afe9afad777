/** Letters that a word may be away from the one that was meant. */
const near = 2;

/** Letters of which a beginning that is left in the middle still tells the word. */
const telling = 4;

/** The word that was perhaps meant: `pull` for `pul`, `rootdirectory` for `rootdir`; undefined if none is near. */
export function nearestWord(text: string, words: readonly string[]): string | undefined {
  const given = text.slice(0, 40).toLowerCase().trim();
  const [found] = words
    .map((word) => ({ word, away: distance(given, word) }))
    .filter(({ word, away }) => away <= Math.min(near, word.length - 1))
    // Of a short word, half of the letters tell nothing.
    .filter(({ word, away }) => away < near || word.length > telling || isOneSlip(given, word))
    .sort((a, b) => a.away - b.away);
  if (found !== undefined || given.length < telling) return found?.word;
  const begun = words.filter((word) => word.startsWith(given));
  return begun.length === 1 ? begun[0] : undefined;
}

/** Whether one letter too many, too few or wrong, or letters in another order, make one word of the other. */
export function isOneSlip(text: string, word: string): boolean {
  const given = text.slice(0, 40).toLowerCase();
  const sorted = (letters: string) => [...letters].sort().join('');
  return distance(given, word) <= 1 || sorted(given) === sorted(word);
}

/** Letters to insert, remove or replace to make one text of the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
