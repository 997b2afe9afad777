/** Remembers so many things of all parties together; where there is no room, whoever has most forgets first. */
export interface SharedCache<Key, Value> {
  /** Also makes it the one that was used last. */
  get(key: Key): Value | undefined;
  set(key: Key, party: string, value: Value): void;
  delete(key: Key): void;
}

/** @param max of all parties together */
export function createSharedCache<Key, Value>(max: number): SharedCache<Key, Value> {
  /** By party, the one that was used longest ago first. */
  const parties = new Map<string, Map<Key, Value>>();
  const partyOf = new Map<Key, string>();

  function put(key: Key, party: string, value: Value): void {
    const own = parties.get(party) ?? new Map<Key, Value>();
    own.delete(key);
    parties.set(party, own.set(key, value));
    partyOf.set(key, party);
  }

  function remove(key: Key): void {
    const party = partyOf.get(key);
    if (party === undefined) return;
    partyOf.delete(key);
    const own = parties.get(party);
    own?.delete(key);
    if (own?.size === 0) parties.delete(party);
  }

  function forgetOne(): void {
    let most: Map<Key, Value> | undefined;
    for (const own of parties.values()) if (own.size > (most?.size ?? 0)) most = own;
    for (const key of most?.keys() ?? []) {
      remove(key);
      return;
    }
  }

  return {
    get(key) {
      const party = partyOf.get(key);
      const value = party === undefined ? undefined : parties.get(party)?.get(key);
      if (party !== undefined && value !== undefined) put(key, party, value);
      return value;
    },
    set(key, party, value) {
      remove(key);
      put(key, party, value);
      if (partyOf.size > max) forgetOne();
    },
    delete: remove,
  };
}
