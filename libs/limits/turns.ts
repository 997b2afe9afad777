/** Those who wait for their turn, one of each party after the other; who had the last turn is the last. */
export interface Turns<Waiter> {
  readonly isEmpty: boolean;
  /** @param parties by whom it waits: the widest first, such as its network and then its connection */
  add(waiter: Waiter, ...parties: readonly [object | string, ...(object | string)[]]): void;
  /** Whose turn it is; undefined where nobody waits. */
  next(): Waiter | undefined;
}

export function createTurns<Waiter>(): Turns<Waiter> {
  const parties = new Map<object | string, Turns<Waiter>>();
  return {
    get isEmpty() {
      return parties.size === 0;
    },
    add(waiter, party, ...within) {
      const known = parties.get(party);
      const turns = known ?? (within.length === 0 ? createLine<Waiter>() : createTurns<Waiter>());
      if (known === undefined) parties.set(party, turns);
      turns.add(waiter, ...(within as [object]));
    },
    next() {
      const [first] = parties;
      if (first === undefined) return undefined;
      const [party, turns] = first;
      parties.delete(party);
      const waiter = turns.next();
      if (!turns.isEmpty) parties.set(party, turns);
      return waiter;
    },
  };
}

/** Those of one party, in the order they came. */
function createLine<Waiter>(): Turns<Waiter> {
  const waiters: Waiter[] = [];
  return {
    get isEmpty() {
      return waiters.length === 0;
    },
    add: (waiter) => void waiters.push(waiter),
    next: () => waiters.shift(),
  };
}
