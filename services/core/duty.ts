import type { Held, Locks } from './sessions/locks.ts';

/** Work that one core does for all, such as the collection of garbage. */
export interface Duty {
  /** True if this core is the one; it stays so until it ends. @throws RedisAwayError */
  isOurs(): Promise<boolean>;
  release(): void;
}

/** The first core that asks has the duty; when it is gone, the next that asks. */
export function createDuty(locks: Locks, name: string): Duty {
  let held: Held | undefined;

  const stillHeld = () => {
    try {
      held?.assertHeld();
      return held !== undefined;
    } catch {
      held?.[Symbol.dispose]();
      held = undefined;
      return false;
    }
  };

  return {
    async isOurs() {
      if (!stillHeld()) held = await locks.tryExclusive(`duty ${name}`);
      return held !== undefined;
    },
    release() {
      held?.[Symbol.dispose]();
      held = undefined;
    },
  };
}
