import { setImmediate as nextLoopTurn } from 'node:timers/promises';

/** Texts that are sorted, or merged, at once: some milliseconds. */
const atOnce = 8192;

/** Sorts texts as `sort` does, in place where they are few; between pieces of it the event loop is everybody else's. */
export async function sortInTurn(texts: string[]): Promise<string[]> {
  if (texts.length <= atOnce) return texts.sort();
  let runs: string[][] = [];
  for (let start = 0; start < texts.length; start += atOnce) {
    runs.push(texts.slice(start, start + atOnce).sort());
    await nextLoopTurn();
  }
  while (runs.length > 1) {
    const longer: string[][] = [];
    for (let index = 0; index < runs.length; index += 2) {
      longer.push(await merge(runs[index] ?? [], runs[index + 1] ?? []));
    }
    runs = longer;
  }
  return runs[0] ?? [];
}

async function merge(left: readonly string[], right: string[]): Promise<string[]> {
  if (left.length === 0) return right;
  const merged: string[] = [];
  let [fromLeft, fromRight] = [0, 0];
  while (fromLeft < left.length && fromRight < right.length) {
    const [one, other] = [left[fromLeft] as string, right[fromRight] as string];
    if (one <= other) {
      merged.push(one);
      fromLeft += 1;
    } else {
      merged.push(other);
      fromRight += 1;
    }
    if (merged.length % atOnce === 0) await nextLoopTurn();
  }
  const rest = fromLeft < left.length ? left.slice(fromLeft) : right.slice(fromRight);
  return merged.concat(rest);
}
