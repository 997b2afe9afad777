import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitSettings } from '#libs/config/sections/auth.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { networksOf } from '#libs/values/client-networks.ts';
import type { AttemptCounter, Budget, Refusal, Reservation } from './attempt-counter.ts';
import type { KnownLogins } from './known-logins.ts';

/**
 * Who is served first where passwords are compared: logins that were right lately and failed none since, then the first
 * attempt of a network, then the others.
 */
export type Lane = 'known' | 'first' | 'other';

/** Somebody who says who they are. */
export interface Attempt {
  /** The name that is claimed. */
  account: string;
  /** Address of who asks. */
  client: string;
  /** False for what nobody guesses: a secret of 256 bits, a signature. */
  guessable: boolean;
  /** Aborted when who asks has left. */
  signal?: AbortSignal | undefined;
}

/** An attempt that may take place. One of the three is to be called with what came of it. */
export interface Admission {
  lane: Lane;
  right(): Promise<void>;
  wrong(): Promise<void>;
  /** It did not take place, or said nothing new. */
  giveBack(): Promise<void>;
}

/** What was limited, for the log and the audit log. */
export interface Limited {
  account: string;
  client: string;
  limit: 'login' | 'address' | 'account' | 'anonymous' | 'waiting';
}

/** Slows down whoever guesses, and nobody else. */
export interface LoginLimits {
  /**
   * To be asked before anything that could tell right from wrong. An attempt counts from here on, so that those under
   * way are counted too; where only attempts under way fill a budget, it waits for what comes of them.
   * @throws RegistryError TOOMANYREQUESTS with the time to come back
   */
  admit(attempt: Attempt): Promise<Admission>;
  /** Counts a request without a login. @throws RegistryError TOOMANYREQUESTS */
  anonymous(client: string): Promise<void>;
}

export interface LoginLimitsOptions {
  settings: LimitSettings;
  /** Of failed logins; shared by all token services. */
  counter: AttemptCounter;
  /** Of requests without a login, which each token service counts for itself. */
  requests: AttemptCounter;
  known: KnownLogins;
  /** Called for each attempt that is refused. */
  onLimited?: (limited: Limited) => void;
  /** Milliseconds that an attempt waits for others that are under way. */
  maxWait?: number;
}

/** By what the keys of budgets begin with. */
const limitNames: Readonly<Record<string, Limited['limit']>> = {
  login: 'login',
  address: 'address',
  account: 'account',
  known: 'login',
  'known-token': 'address',
};

function limitOf({ key }: Refusal): Limited['limit'] {
  return limitNames[key.slice(0, key.indexOf(':'))] ?? 'login';
}

/** How many times as much as the narrowest each wider network of IPv6 may have: /64, /56, /48. */
const growth = [1, 2, 4];
/** Beyond its limit an account may still be tried once from each other network, up to so many times its limit. */
const fromElsewhere = 10;
/** Attempts of one network that may wait for others under way. */
const maxWaiting = 32;
/** Milliseconds between two looks at what others have under way. */
const lookAgain = 100;

export function createLoginLimits(options: LoginLimitsOptions): LoginLimits {
  const { settings, counter, requests, known, onLimited = () => {}, maxWait = 2500 } = options;
  const { perAddress, perAccount, perLogin, perAnonymous } = settings;
  const waiting = new Map<string, number>();
  /** Those that wait for attempts of this process. */
  let settled = Promise.withResolvers<void>();

  function wake(): void {
    settled.resolve();
    settled = Promise.withResolvers();
  }

  /** Reservations to be settled together: all of them, or none. */
  async function reserveInTurn(
    steps: readonly ((before: readonly Reservation[]) => Promise<Reservation | Refusal>)[],
  ): Promise<Reservation[] | Refusal> {
    const taken: Reservation[] = [];
    try {
      for (const step of steps) {
        const result = await step(taken);
        if (!result.ok) return result;
        taken.push(result);
      }
      return taken;
    } finally {
      if (taken.length < steps.length) await Promise.all(taken.map((one) => one.giveBack()));
    }
  }

  const networkBudgets = (networks: readonly string[], most = perAddress): Budget[] =>
    networks.map((network, index) => ({
      key: `address:${network}`,
      most: most * (growth[index] ?? 1),
    }));

  /** What an attempt of somebody who is not known is taken from. */
  async function reserve({ account, guessable }: Attempt, networks: readonly string[]) {
    const widest = networks.at(-1) ?? '';
    const logins: Budget[] = networks.map((network, index) => ({
      key: `login:${account}\0${network}`,
      most: perLogin * (growth[index] ?? 1),
    }));
    const here = [...networkBudgets(networks), ...(guessable ? logins : [])];
    return await reserveInTurn([
      () => counter.reserve(widest, here),
      ...(guessable
        ? [
            ([first]: readonly Reservation[]) => {
              const tried = (first?.before.at(-1) ?? 0) > 0;
              const most = tried ? perAccount : perAccount * fromElsewhere;
              const key = `account:${account}`;
              return counter.reserve(key, [{ key, most }]);
            },
          ]
        : []),
    ]);
  }

  /** What an attempt of somebody who is known is taken from: a budget that nobody elsewhere can use up. */
  async function reserveKnown({ account, guessable }: Attempt, networks: readonly string[]) {
    const [network, widest] = [networks[0] ?? '', networks.at(-1) ?? ''];
    // A stale token that a job sends again and again is nobody's guess at the password.
    const budget = guessable
      ? { key: `known:${account}\0${network}`, most: perLogin }
      : { key: `known-token:${account}\0${network}`, most: perAddress };
    return await reserveInTurn([() => counter.reserve(widest, [budget])]);
  }

  /** Counts a failure of somebody who is known where others are counted, too. */
  async function countElsewhere({ account, guessable }: Attempt, networks: readonly string[]) {
    const counted = [counter.reserve(networks.at(-1) ?? '', networkBudgets(networks, 0))];
    const key = `account:${account}`;
    if (guessable) counted.push(counter.reserve(key, [{ key, most: 0 }]));
    for (const one of await Promise.all(counted)) if (one.ok) await one.keep();
  }

  function refuse(limited: Limited, retryAfter: number): never {
    onLimited(limited);
    throw new RegistryError('TOOMANYREQUESTS', {
      message: 'too many attempts to log in; try again later',
      retryAfter: Math.max(1, Math.ceil(retryAfter / 1000)),
    });
  }

  /** Asks until there is room or no hope. */
  async function obtain(
    attempt: Attempt,
    network: string,
    ask: () => Promise<Reservation[] | Refusal>,
  ): Promise<Reservation[]> {
    const { account, client, signal } = attempt;
    const deadline = performance.now() + maxWait;
    let entered = false;
    try {
      for (;;) {
        const next = settled.promise;
        const result = await ask();
        if (Array.isArray(result)) return result;
        if (!result.busy) refuse({ account, client, limit: limitOf(result) }, result.retryAfter);
        const others = waiting.get(network) ?? 0;
        const tooMany = !entered && others >= maxWaiting;
        signal?.throwIfAborted();
        if (tooMany || performance.now() >= deadline) {
          refuse({ account, client, limit: 'waiting' }, 1000);
        }
        if (!entered) waiting.set(network, others + 1);
        entered = true;
        await Promise.race([next, sleep(lookAgain, undefined, { ref: false })]);
      }
    } finally {
      const left = (waiting.get(network) ?? 0) - (entered ? 1 : 0);
      if (left > 0) waiting.set(network, left);
      else waiting.delete(network);
    }
  }

  return {
    async admit(attempt) {
      const { account, client } = attempt;
      const networks = networksOf(client);
      const [network] = networks;
      const isKnown = await known.has(account, network);
      const ask = () => (isKnown ? reserveKnown(attempt, networks) : reserve(attempt, networks));
      const taken = await obtain(attempt, network, ask);
      // The narrowest network counts first, then the wider ones: nothing failed there, and nothing is under way.
      const before = taken[0]?.before.slice(0, networks.length) ?? [];
      // One that is known has its lane until it fails: whoever is known at many addresses could fill it with guesses.
      const isClean = before.every((count) => count === 0);
      const lane: Lane = isClean ? (isKnown ? 'known' : 'first') : 'other';
      const settle = async (how: 'keep' | 'giveBack') => {
        await Promise.all(taken.map((one) => one[how]()));
        wake();
      };
      return {
        lane,
        giveBack: () => settle('giveBack'),
        async right() {
          await settle('giveBack');
          await known.add(account, network);
        },
        async wrong() {
          await settle('keep');
          if (isKnown) await countElsewhere(attempt, networks);
        },
      };
    },

    async anonymous(client) {
      if (perAnonymous === 0) return;
      const networks = networksOf(client);
      const budgets = networkBudgets(networks, perAnonymous);
      const result = await requests.reserve('', budgets);
      if (result.ok) await result.keep();
      else refuse({ account: '', client, limit: 'anonymous' }, result.retryAfter);
    },
  };
}
