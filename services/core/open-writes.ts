import { randomUUID } from 'node:crypto';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import { describeTrouble, watchRoom } from './health/watch-room.ts';
import { measureWrites, type WriteObstacle, writeObstacles } from './measure-writes.ts';
import { keepOwnership, type Ownership } from './ownership/keep-ownership.ts';
import { createLivenessProbe } from './ownership/liveness.ts';
import { createOwner, type OwnerTimes } from './ownership/owner.ts';
import { paths } from './registry/paths.ts';
import type { StorageDriver } from './storage/driver.ts';
import { guardWrites } from './storage/guarded.ts';

/** Milliseconds after which a file half written by another core is nobody's any more. */
const leftoverAge = 24 * 60 * 60 * 1000;

export interface WritesOptions {
  driver: StorageDriver;
  /** Whether other cores write to the same tree, agreeing with us in Redis. */
  shared: boolean;
  readiness: Readiness;
  metrics: Metrics | undefined;
  log: Logger;
  /** Whether this is a command, which is over after a while. */
  isCommand?: boolean;
  /** How long another owner is waited for. */
  times?: OwnerTimes;
}

/** The right to write to the tree, and whether it can be used. */
export interface Writes {
  /** The same storage, which nothing changes but the owner of the tree. */
  driver: StorageDriver;
  ownership: Ownership;
  close(): Promise<void>;
}

/**
 * Takes the tree for this core, in its own time: what needs no writing is served meanwhile, and also while the storage
 * takes nothing. `/readyz` stays 200 and says why writes are refused: where there is one core, a balancer must send it
 * the reads, and one that replaces another is waited for before that one is told to go.
 */
export function openWrites(options: WritesOptions): Writes {
  const { driver, shared, isCommand = false, readiness, metrics, log, times } = options;
  const room = watchRoom({ driver, probePath: () => paths.writeProbe(randomUUID()), log });
  const { failed } = room;
  const prepare = async () => {
    // Beside others, what is young may be one of theirs.
    await driver.clearLeftovers?.(shared ? leftoverAge : 0).catch((error: unknown) => {
      log.warn({ err: error }, 'temporary files cannot be removed');
    });
  };
  const watched = guardWrites(driver, { before: async () => {}, failed });
  const owner = createOwner({
    driver: watched,
    log,
    probeLiveness: createLivenessProbe(driver),
    shared,
    isCommand,
    prepare,
    ...(times === undefined ? {} : { times }),
  });
  const ownership = keepOwnership(owner, log);

  readiness.mention(() => {
    const trouble = room.trouble();
    if (trouble !== undefined) return `writes are refused: ${describeTrouble(trouble)}`;
    const reason = ownership.reason();
    return reason === undefined ? undefined : `writes are refused: ${reason}`;
  });
  measureWrites(metrics, () => {
    const trouble = room.trouble();
    const obstacles: WriteObstacle[] = writeObstacles.filter((one) => one === trouble);
    return ownership.reason() === undefined ? obstacles : [...obstacles, 'not-owner'];
  });

  return {
    driver: guardWrites(driver, { before: ownership.assertOwned, failed }),
    ownership,
    async close() {
      room.close();
      await ownership.release();
    },
  };
}
