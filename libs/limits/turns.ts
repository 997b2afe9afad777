type Party = object | string;

/** Those who wait for their turn, one of each party after the other; who had the last turn is the last. */
export interface Turns<Waiter> {
  /** How many wait. */
  readonly size: number;
  /** Who came last, of those of the party that has its turn last. */
  readonly last: Waiter | undefined;
  /** @param parties by whom it waits: the widest first, such as its network and then its connection */
  add(waiter: Waiter, ...parties: readonly [Party, ...Party[]]): void;
  /** Whose turn it is; undefined where nobody waits. */
  next(): Waiter | undefined;
  /** Takes out one that no longer waits. @returns false if it had its turn before */
  remove(waiter: Waiter, ...parties: readonly [Party, ...Party[]]): boolean;
  /** The widest parties, with those who wait of each. */
  parties(): Iterable<[Party, Pick<Turns<Waiter>, 'size' | 'last'>]>;
}

export function createTurns<Waiter>(): Turns<Waiter> {
  const parties = new Map<Party, Turns<Waiter>>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    get last() {
      return [...parties.values()].at(-1)?.last;
    },
    add(waiter, party, ...within) {
      const known = parties.get(party);
      const turns = known ?? (within.length === 0 ? createLine<Waiter>() : createTurns<Waiter>());
      if (known === undefined) parties.set(party, turns);
      turns.add(waiter, ...(within as [Party]));
      size += 1;
    },
    next() {
      const [first] = parties;
      if (first === undefined) return undefined;
      const [party, turns] = first;
      parties.delete(party);
      const waiter = turns.next();
      if (turns.size > 0) parties.set(party, turns);
      size -= 1;
      return waiter;
    },
    remove(waiter, party, ...within) {
      const turns = parties.get(party);
      if (!turns?.remove(waiter, ...(within as [Party]))) return false;
      if (turns.size === 0) parties.delete(party);
      size -= 1;
      return true;
    },
    parties: () => parties,
  };
}

/** Those of one party, in the order they came. */
function createLine<Waiter>(): Turns<Waiter> {
  const waiters: Waiter[] = [];
  return {
    get size() {
      return waiters.length;
    },
    get last() {
      return waiters.at(-1);
    },
    add: (waiter) => void waiters.push(waiter),
    next: () => waiters.shift(),
    remove(waiter) {
      const index = waiters.indexOf(waiter);
      if (index >= 0) waiters.splice(index, 1);
      return index >= 0;
    },
    parties: () => [],
  };
}
