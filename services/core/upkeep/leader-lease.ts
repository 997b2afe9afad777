import { type Held, LockLostError, type Locks } from '../sessions/locks.ts';

/** Leader election among the cores, for work that one of them does for all, such as the collection of garbage. */
export interface LeaderLease {
  /** Takes or renews the lease. True if this core is the leader; it stays so until it ends. @throws RedisAwayError */
  isLeader(): Promise<boolean>;
  release(): void;
}

/** The first core that asks becomes the leader; when it is gone, the next that asks. */
export function createLeaderLease(locks: Locks, name: string): LeaderLease {
  let held: Held | undefined;
  /** One look for all who ask at the same time: of two, one would let go of what the other was granted. */
  let looking: Promise<boolean> | undefined;
  let releases = 0;

  const stillHeld = async () => {
    try {
      await held?.confirm();
      return held !== undefined;
    } catch (error) {
      if (!(error instanceof LockLostError)) throw error;
      held?.[Symbol.dispose]();
      held = undefined;
      return false;
    }
  };

  async function look(): Promise<boolean> {
    const before = releases;
    if (await stillHeld()) return true;
    const granted = await locks.tryExclusive(lockName(name));
    if (releases === before) held = granted;
    else granted?.[Symbol.dispose]();
    return held !== undefined;
  }

  return {
    async isLeader() {
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return await looking;
    },
    release() {
      releases += 1;
      held?.[Symbol.dispose]();
      held = undefined;
    },
  };
}

/** Cores of earlier versions elect by the same lock, so that there is one leader during an upgrade. */
function lockName(name: string): string {
  return `duty ${name}`;
}
