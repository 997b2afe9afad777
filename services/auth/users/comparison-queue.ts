import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { createTurns, type Turns } from '#libs/limits/turns.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Lane } from '../limits/login-limits.ts';
import type { BcryptPool } from './bcrypt-pool.ts';

/** Milliseconds that a comparison may have to wait before it begins. */
const maxWait = 2500;
/** Milliseconds of one round of bcrypt (of 2^cost) until some were measured: about 65 ms at cost 10. */
const firstGuess = 65 / 2 ** 10;
/** Milliseconds that it is remembered how often a network asked, and how many networks. */
const asked = { ttl: 60_000, ...atMost(10_000) } as const;
/** How much the last measurement counts beside those before. */
const weight = 0.2;

export interface QueuedComparison {
  password: string;
  hash: string;
  /** log2 of the rounds it is to take, whatever the hash's own cost. */
  cost: number;
  /** Whose turn it is: networks are served one after another. */
  network: string;
  lane: Lane;
  /** Aborted when nobody waits for it any more. */
  signal?: AbortSignal | undefined;
}

export interface ComparisonQueueOptions {
  pool: BcryptPool;
  /** Called when one ends: compared, not taken for its wait would be too long, or nobody waited any more. */
  onEnd?: (outcome: 'compared' | 'shed' | 'left', waitedMs: number) => void;
}

/** Comparisons that wait for a thread. */
export interface ComparisonQueue {
  /**
   * Known logins come first, then the first attempts of networks, then the others; within each, one of each network in
   * turn. Where there is no room, one of a network that asked more often lately makes it.
   * @throws RegistryError TOOMANYREQUESTS if it would not begin within 2.5 s; the signal's reason
   */
  compare(comparison: QueuedComparison): Promise<boolean>;
}

interface Job extends QueuedComparison {
  since: number;
  /** Takes it out of its queue, unless it has begun. */
  giveUp(outcome: 'shed' | 'left'): void;
  resolve(equal: boolean | PromiseLike<boolean>): void;
}

const lanes: readonly Lane[] = ['known', 'first', 'other'];

export function createComparisonQueue({
  pool,
  onEnd = () => {},
}: ComparisonQueueOptions): ComparisonQueue {
  const queues: Readonly<Record<Lane, Turns<Job>>> = {
    known: createTurns(),
    first: createTurns(),
    other: createTurns(),
  };
  const asks = new LRUCache<string, number>({ ...asked, noUpdateTTL: true });
  let running = 0;
  let perRound = firstGuess;

  /** Milliseconds until one more of this network would begin. */
  function expectedWait({ lane, network, cost }: QueuedComparison): number {
    let ahead = running < pool.size ? 0 : 1;
    for (const before of lanes.slice(0, lanes.indexOf(lane))) ahead += queues[before].size;
    const waiting = [...queues[lane].parties()];
    const own = waiting.find(([other]) => other === network)?.[1].size ?? 0;
    for (const [other, { size }] of waiting) {
      ahead += other === network ? own : Math.min(size, own + 1);
    }
    return (ahead / pool.size) * perRound * 2 ** cost;
  }

  /** Makes room by what is behind of the network that asked most, if it asked more than this one. */
  function makeRoom({ lane, network }: QueuedComparison): boolean {
    let most = asks.get(network) ?? 0;
    let busiest: Job | undefined;
    for (const [other, { last }] of queues[lane].parties()) {
      const count = asks.get(other as string) ?? 0;
      if (count <= most) continue;
      most = count;
      busiest = last;
    }
    busiest?.giveUp('shed');
    return busiest !== undefined;
  }

  function next(): Job | undefined {
    const lane = lanes.find((one) => queues[one].size > 0);
    return lane === undefined ? undefined : queues[lane].next();
  }

  async function work({ password, hash, cost }: Job): Promise<boolean> {
    try {
      const { answer, duration } = await pool.run({ kind: 'compare', password, hash, cost });
      perRound += weight * (duration / 2 ** cost - perRound);
      return answer;
    } finally {
      running -= 1;
      start();
    }
  }

  function start(): void {
    while (running < pool.size) {
      const job = next();
      if (job === undefined) return;
      running += 1;
      onEnd('compared', performance.now() - job.since);
      job.resolve(work(job));
    }
  }

  return {
    async compare(comparison) {
      const { lane, network, signal } = comparison;
      signal?.throwIfAborted();
      asks.set(network, (asks.get(network) ?? 0) + 1);
      const wait = expectedWait(comparison);
      if (wait > maxWait && !makeRoom(comparison)) {
        onEnd('shed', 0);
        throw tooMany(wait);
      }
      return await new Promise<boolean>((resolve, reject) => {
        const since = performance.now();
        const giveUp = (outcome: 'shed' | 'left') => {
          if (!queues[lane].remove(job, network)) return;
          onEnd(outcome, performance.now() - since);
          settle();
          reject(outcome === 'left' ? signal?.reason : tooMany(maxWait));
        };
        const onAbort = () => giveUp('left');
        // Others came first in the meantime.
        const timer = setTimeout(() => giveUp('shed'), maxWait).unref();
        const settle = () => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
        };
        const job: Job = {
          ...comparison,
          since,
          giveUp,
          resolve(equal) {
            settle();
            resolve(equal);
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        queues[lane].add(job, network);
        start();
      });
    },
  };
}

function tooMany(wait: number): RegistryError {
  return new RegistryError('TOOMANYREQUESTS', {
    message: 'too many logins at once; try again',
    retryAfter: Math.max(1, Math.ceil(wait / 1000)),
  });
}
