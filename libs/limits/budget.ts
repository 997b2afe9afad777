import { RegistryError } from '#libs/oci/errors.ts';
import type { Parties } from './parties.ts';
import { createShares } from './shares.ts';

export interface BudgetOptions {
  /** What it is called on `/metrics`: one of few words. */
  name: string;
  /** All that there is, in units of the budget's own: bytes, connections, requests. */
  capacity: number;
  /** Milliseconds one waits for a share; 0: who finds none is refused at once. */
  maxWait: number;
  /** How many may wait; shared out as the budget is. */
  queue?: number;
  /** What is too much, for the person at the client: `too many uploads are open`. */
  message: string;
  /** Seconds after which trying again makes sense. */
  retryAfter?: number;
}

/** A part of a budget, until disposed of. */
export interface Lease extends Disposable {
  readonly amount: number;
}

/** A lease that takes more as more is needed: what is only announced keeps nothing from others. */
export interface GrowingLease extends Lease {
  /**
   * Waits until it has so much in all.
   * @throws as `take`
   */
  growTo(amount: number): Promise<void>;
}

/** How much of a budget is taken. */
export interface BudgetState {
  readonly name: string;
  readonly capacity: number;
  readonly used: number;
  readonly waiting: number;
  /** Since the start. */
  readonly refused: number;
}

/**
 * Shares out what is scarce. As long as a quarter is left, everybody gets what they ask for, however much they
 * have: a whole office may sit behind one address. The last quarter is for those who have less than their share,
 * which is the whole divided by how many there are, and one to come, and no more than is left after it.
 */
export interface Budget extends BudgetState {
  /** What is left. */
  readonly free: number;
  /** Milliseconds that `take` waits. */
  readonly maxWait: number;
  /** @returns undefined where there is no share for these parties now */
  tryTake(parties: Parties, amount: number): Lease | undefined;
  /**
   * Waits for a share, behind those that have less.
   * @param options.maxWait milliseconds that are left to a request that has waited elsewhere
   * @throws RegistryError TOOMANYREQUESTS; what the signal was aborted with
   */
  take(parties: Parties, amount: number, options?: TakeOptions): Promise<Lease>;
  /** Takes so much at first, and more as it grows. @throws as `take` */
  takeGrowing(parties: Parties, first: number, options?: TakeOptions): Promise<GrowingLease>;
  /** The error of one who is refused; it is counted. */
  refuse(): RegistryError;
  /** Counts one who is refused otherwise than by an error. */
  countRefused(): void;
}

export interface TakeOptions {
  /** Ends the wait. */
  signal?: AbortSignal;
  /** Milliseconds to wait, where that is less than the budget's own. */
  maxWait?: number;
}

interface Waiter {
  parties: Parties;
  amount: number;
  grant(lease: Lease): void;
}

export function createBudget({
  name,
  capacity,
  maxWait,
  queue = 1000,
  message,
  retryAfter = 5,
}: BudgetOptions): Budget {
  const shares = createShares(capacity);
  const places = createShares(queue);
  const waiters = new Set<Waiter>();
  let refused = 0;

  function tryTake(parties: Parties, wanted: number): Lease | undefined {
    // What is larger than all there is could never be had.
    const amount = Math.min(wanted, capacity);
    if (!shares.has(parties, amount)) return undefined;
    shares.add(parties, amount);
    let held = true;
    return {
      amount,
      [Symbol.dispose]() {
        if (!held) return;
        held = false;
        shares.remove(parties, amount);
        serve();
      },
    };
  }

  /** Those who have least come first, and among equals who came first. */
  function serve(): void {
    if (waiters.size === 0) return;
    const order = [...waiters].map((waiter) => ({ waiter, has: shares.most(waiter.parties) }));
    order.sort((a, b) => a.has - b.has);
    for (const { waiter } of order) {
      const lease = tryTake(waiter.parties, waiter.amount);
      if (lease !== undefined) waiter.grant(lease);
      else if (shares.used >= capacity) return;
    }
  }

  function countRefused(): void {
    refused += 1;
  }

  function refuse(): RegistryError {
    countRefused();
    return new RegistryError('TOOMANYREQUESTS', { message: `${message}; try again`, retryAfter });
  }

  async function wait(
    parties: Parties,
    amount: number,
    maxWait: number,
    signal?: AbortSignal,
  ): Promise<Lease> {
    if (!places.has(parties, 1)) throw refuse();
    places.add(parties, 1);
    let settle = () => {};
    try {
      return await new Promise<Lease>((resolve, reject) => {
        // It stops waiting in the same breath: what is given to one that has left, nobody would give back.
        const timer = setTimeout(() => {
          settle();
          reject(refuse());
        }, maxWait);
        const leave = () => {
          settle();
          reject(signal?.reason as Error);
        };
        signal?.addEventListener('abort', leave);
        const waiter: Waiter = {
          parties,
          amount,
          grant(lease) {
            settle();
            resolve(lease);
          },
        };
        waiters.add(waiter);
        settle = () => {
          clearTimeout(timer);
          waiters.delete(waiter);
          signal?.removeEventListener('abort', leave);
        };
      });
    } finally {
      settle();
      places.remove(parties, 1);
    }
  }

  async function take(
    parties: Parties,
    amount: number,
    { signal, maxWait: left = maxWait }: TakeOptions = {},
  ): Promise<Lease> {
    signal?.throwIfAborted();
    // Whoever comes now may have less than those who wait.
    const lease = tryTake(parties, amount);
    if (lease !== undefined) return lease;
    const longest = Math.min(left, maxWait);
    if (longest <= 0) throw refuse();
    return await wait(parties, amount, longest, signal);
  }

  return {
    name,
    capacity,
    maxWait,
    get used() {
      return shares.used;
    },
    get free() {
      return capacity - shares.used;
    },
    get waiting() {
      return waiters.size;
    },
    get refused() {
      return refused;
    },
    tryTake,
    refuse,
    countRefused,

    take,

    async takeGrowing(parties, first, options) {
      const leases = [await take(parties, first, options)];
      let isOver = false;
      const amount = () => leases.reduce((sum, lease) => sum + lease.amount, 0);
      return {
        get amount() {
          return amount();
        },
        async growTo(wanted) {
          const more = Math.min(wanted, capacity) - amount();
          if (more <= 0) return;
          const lease = await take(parties, more, options);
          // It may have ended in the moment in which there was more.
          if (isOver) lease[Symbol.dispose]();
          else leases.push(lease);
        },
        [Symbol.dispose]() {
          isOver = true;
          for (const lease of leases) lease[Symbol.dispose]();
        },
      };
    },
  };
}
