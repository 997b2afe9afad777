/** Members of each group by name; a member `@other` is everybody in that group. */
export type Groups = Readonly<Record<string, readonly string[]>>;

/**
 * Everybody in each group, with groups in groups resolved.
 * @throws Error naming a group that is not there, or one that is in itself
 */
export function resolveGroups(groups: Groups): ReadonlyMap<string, ReadonlySet<string>> {
  const resolved = new Map<string, ReadonlySet<string>>();
  const path: string[] = [];

  function membersOf(name: string): ReadonlySet<string> {
    const known = resolved.get(name);
    if (known !== undefined) return known;
    if (path.includes(name)) {
      throw new Error(`portcullis.groups: ${[...path, name].join(' is in ')}`);
    }
    const members = Object.hasOwn(groups, name) ? groups[name] : undefined;
    if (members === undefined) throw new Error(`there is no group "${name}" in portcullis.groups`);
    path.push(name);
    const all = new Set<string>();
    for (const member of members) {
      if (!member.startsWith('@')) all.add(member);
      else for (const one of membersOf(member.slice(1))) all.add(one);
    }
    path.pop();
    resolved.set(name, all);
    return all;
  }

  for (const name of Object.keys(groups)) membersOf(name);
  return resolved;
}
