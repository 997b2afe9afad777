/** What a token may do to one thing (distribution's token scope: type, name, actions). */
export interface Access {
  type: string;
  name: string;
  actions: string[];
}

/** `type(class):name:action,action`; the class is an old plug-in marker that is read over. */
const scopePattern = /^([a-z0-9]+)(?:\([a-z0-9]+\))?:(.+):([a-z_*]+(?:,[a-z_*]+)*)?$/;

/**
 * Reads scopes as clients write them: several values, each with one or more scopes between spaces.
 * A name may hold a port, so it ends at the last colon. What cannot be read is dropped, since asking
 * for something unknown is no error; equal type and name are merged, as clients repeat themselves.
 */
export function parseScopes(values: readonly string[]): Access[] {
  const merged = new Map<string, { type: string; name: string; actions: Set<string> }>();
  for (const scope of values.flatMap((value) => value.split(' '))) {
    const match = scopePattern.exec(scope);
    if (match === null) continue;
    const [, type = '', name = '', actions = ''] = match;
    const key = `${type}:${name}`;
    const access = merged.get(key) ?? { type, name, actions: new Set() };
    for (const action of actions.split(',')) if (action !== '') access.actions.add(action);
    merged.set(key, access);
  }
  return [...merged.values()].map((access) => ({ ...access, actions: [...access.actions] }));
}

export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/** True if `granted` holds every action of `wanted`; a granted `*` stands for any action. */
export function covers(granted: readonly Access[], wanted: Access): boolean {
  const actions = new Set(
    granted
      .filter(({ type, name }) => type === wanted.type && name === wanted.name)
      .flatMap((access) => access.actions),
  );
  return actions.has('*') || wanted.actions.every((action) => actions.has(action));
}
