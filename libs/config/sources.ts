/** The variables that set something, by its path. */
export type Sources = ReadonlyMap<string, string>;

/**
 * The variable that set a key, or something that holds it.
 * @param path as `formatPath` has it
 */
export function sourceOf(path: string, sources: Sources): string | undefined {
  let longest: string | undefined;
  for (const set of sources.keys()) {
    const holds = path === set || path.startsWith(`${set}.`) || path.startsWith(`${set}[`);
    if (holds && set.length > (longest ?? '').length) longest = set;
  }
  return longest === undefined ? undefined : sources.get(longest);
}

/** A problem that begins with a key, behind where that comes from: the variable that set it, else the file. */
export function placeProblem(
  problem: string,
  { path, sources }: { path?: string | undefined; sources: Sources },
): string {
  const key = /^[^\s:]+(?=: )/.exec(problem)?.[0] ?? '';
  const origin = sourceOf(key, sources) ?? path;
  return origin === undefined ? problem : `${origin}: ${problem}`;
}
