import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#libs/log/logger.ts';
import type { Owner } from './owner.ts';

/** Milliseconds. */
export interface OwnershipTimes {
  /** Between two signs of life. */
  beat: number;
  /** Between two looks at a tree that is not ours. */
  look: number;
}

const usual: OwnershipTimes = { beat: 5000, look: 250 };

/** The tree, or the way to it. */
export interface Ownership {
  /** Why nothing may be written now; undefined while the tree is ours. */
  reason(): string | undefined;
  /** To be called directly before something is changed. @throws NotOwnerError, StorageError */
  assertOwned(): Promise<void>;
  /** Resolves when the tree was looked at for the first time. */
  readonly looked: Promise<void>;
  /** Resolves when the tree is ours for the first time. */
  readonly owned: Promise<void>;
  /** Resolves with the reason when another core owns the tree, so that this one cannot go on. */
  readonly ended: Promise<Error>;
  release(): Promise<void>;
}

/** Keeps looking at the tree, whatever its storage does: what fails is tried again. */
export function keepOwnership(owner: Owner, log: Logger, pace = usual): Ownership {
  const looked = Promise.withResolvers<void>();
  const owned = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Error>();
  const closing = new AbortController();
  let trouble: Error | undefined;

  async function step(): Promise<void> {
    try {
      await owner.step();
      if (trouble !== undefined) log.info('the storage can be claimed again');
      trouble = undefined;
    } catch (error) {
      if (trouble === undefined)
        log.warn({ err: error }, 'the owner of the storage cannot be determined');
      trouble = error as Error;
    }
    looked.resolve();
    if (owner.reason() === undefined) owned.resolve();
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      await step();
      const reason = owner.ended();
      if (reason !== undefined) return ended.resolve(reason);
      const pause = owner.reason() === undefined ? pace.beat : pace.look;
      await sleep(pause, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }
  const running = run();

  return {
    reason() {
      const reason = owner.reason();
      return reason === undefined || trouble === undefined ? reason : trouble.message;
    },
    async assertOwned() {
      try {
        await owner.assertOwned();
      } catch (error) {
        throw owner.ended() === undefined ? (trouble ?? error) : error;
      }
    },
    looked: looked.promise,
    owned: owned.promise,
    ended: ended.promise,
    async release() {
      closing.abort();
      await running;
      await owner.release();
    },
  };
}
