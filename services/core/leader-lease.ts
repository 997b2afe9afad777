import { type Held, LockLostError, type Locks } from './sessions/locks.ts';

/** Leader election among the cores, for work that one of them does for all, such as the collection of garbage. */
export interface LeaderLease {
  /** Takes or renews the lease. True if this core is the leader; it stays so until it ends. @throws RedisAwayError */
  isLeader(): Promise<boolean>;
  release(): void;
}

/** The first core that asks becomes the leader; when it is gone, the next that asks. */
export function createLeaderLease(locks: Locks, name: string): LeaderLease {
  let held: Held | undefined;

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

  return {
    async isLeader() {
      if (!(await stillHeld())) held = await locks.tryExclusive(lockName(name));
      return held !== undefined;
    },
    release() {
      held?.[Symbol.dispose]();
      held = undefined;
    },
  };
}

/** Cores of earlier versions elect by the same lock, so that there is one leader during an upgrade. */
function lockName(name: string): string {
  return `duty ${name}`;
}
