import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from '#libs/log/logger.ts';
import { paths } from '../registry/paths.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { type ClaimSocket, openClaimSocket } from './claim-socket.ts';
import { makeClaim, releaseClaim, removeClaimsBefore } from './claims.ts';
import type { LivenessProbe } from './liveness.ts';
import { NotOwnerError } from './not-owner.ts';
import { type OwnerRecord, sharedId, writeRecord } from './owner-record.ts';
import { describeProcess } from './process-identity.ts';
import { describesClaim, inspectTree, isHeld, type TreeState } from './tree-state.ts';
import { createOwnerWatch, type WatchTimes } from './watch-owner.ts';

/** Milliseconds. */
export interface OwnerTimes extends WatchTimes {
  /** How long a look at the tree is good for: less than an owner may be still before another takes over. */
  goodFor: number;
}

export const ownerTimes: OwnerTimes = { stillFor: 15_000, waitFor: 60_000, goodFor: 10_000 };

export interface OwnerOptions {
  driver: StorageDriver;
  log: Logger;
  probeLiveness: LivenessProbe;
  /** Owned together with all cores that agree in Redis; a core without it is kept out. */
  shared?: boolean;
  /** For a command, which gives the tree back by itself: cores wait for it, however long that takes. */
  isCommand?: boolean;
  /** Resolves when the tree is ready to be written to; called when it is ours, before anybody writes. */
  prepare?: () => Promise<void>;
  times?: OwnerTimes;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

/**
 * A core that owns the tree, or wants to: two that write without shared coordination would damage each other's
 * uploads, and there are no file locks to rely on. It does nothing by itself: somebody calls `step`.
 */
export interface Owner {
  /** Why nothing may be written now, for those who run the registry; undefined while the tree is ours. */
  reason(): string | undefined;
  /** Why it cannot become or stay the owner: another core is. Undefined while it may. */
  ended(): Error | undefined;
  /** Looks at the tree, and claims it or shows that its owner lives. @throws StorageError */
  step(): Promise<void>;
  /**
   * Looks at the tree again unless it was looked at just now.
   * @throws NotOwnerError if it is not ours; StorageError if that cannot be told
   */
  assertOwned(): Promise<void>;
  /** Gives the tree back, so that the next core need not wait. */
  release(): Promise<void>;
}

/** What was claimed, and not lost so far. */
interface Mine {
  number: number;
  record: OwnerRecord;
  /** The record of whoever had the tree before. */
  replaced: OwnerRecord | undefined;
  /** Whether nobody may write before our record is there: its owner before may live, and knows no claims. */
  needsRecord: boolean;
  socket: ClaimSocket | undefined;
}

export function createOwner({
  driver,
  log,
  probeLiveness,
  shared = false,
  isCommand = false,
  prepare = async () => {},
  times = ownerTimes,
  now = () => performance.now(),
}: OwnerOptions): Owner {
  const id = shared ? sharedId : randomUUID();
  const watch = createOwnerWatch(times);
  let mine: Mine | undefined;
  let owned = false;
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let confirming: Promise<void> | undefined;
  let waitingFor: string | undefined;
  let ended: Error | undefined;

  async function seek(): Promise<void> {
    const tree = await inspectTree(driver);
    const { claim, record } = tree;
    const host = record?.host ?? 'another host';
    const ours = !shared && record?.id === id;
    if (ours || !isHeld(tree)) return await claimTree(tree, { proved: true });
    if (shared && record?.id === sharedId) {
      if (claim === undefined || claim.released) return await claimTree(tree, { proved: true });
      return await establish(await begin(claim.number, record, false));
    }
    const liveness = await probeLiveness(tree);
    if (liveness === 'dead') {
      log.info({ host }, 'the previous owner of this storage has exited; taking over');
      return await claimTree(tree, { proved: true });
    }
    switch (watch.observe(tree.signs, liveness === 'alive', now())) {
      case 'take over':
        log.warn({ host }, 'the previous owner of this storage is dead; taking over');
        return await claimTree(tree, { proved: false });
      case 'give up':
        if (record?.isCommand === true && describesClaim(tree)) return;
        ended = new Error(
          shared
            ? `the core on ${host} is using this storage without redis:; stop it first`
            : `the core on ${host} is using this storage; stop it first, or configure redis: for several cores`,
        );
        return;
      case 'wait':
        if (waitingFor === undefined) {
          log.warn(
            { host },
            record?.isCommand === true
              ? 'a command repairs this storage; waiting for it to end, and refusing writes meanwhile'
              : `another core owns this storage; refusing writes until it stops${shared ? '' : ' (several cores on one storage need redis:)'}`,
          );
        }
        waitingFor = `${record?.isCommand === true ? 'a command' : 'the core'} on ${host}`;
    }
  }

  async function claimTree(tree: TreeState, { proved }: { proved: boolean }): Promise<void> {
    const number = (tree.claim?.number ?? 0) + 1;
    // Another may have been faster: the next look tells.
    if (!(await makeClaim(driver, number))) return;
    const { record } = tree;
    const knowsClaims = record === undefined || record.claim !== undefined;
    await establish(await begin(number, record, !proved && !knowsClaims));
  }

  async function begin(
    number: number,
    replaced: OwnerRecord | undefined,
    needsRecord: boolean,
  ): Promise<Mine> {
    // One of several that goes does not leave the tree to whoever comes.
    const ours = shared ? '' : await describeProcess(process.pid);
    const counter = shared ? (replaced?.counter ?? 0) : 0;
    const command = isCommand && !shared ? { isCommand } : {};
    const record = { id, counter, host: hostname(), process: ours, claim: number, ...command };
    const socket = shared ? undefined : await openSocket(number);
    return { number, record, replaced, needsRecord, socket };
  }

  /** Where there can be no socket, the counter alone tells that we live. */
  async function openSocket(number: number): Promise<ClaimSocket | undefined> {
    const path = driver.localPath?.(paths.claimSocket(number));
    if (path === undefined) return undefined;
    return await openClaimSocket(path).catch((error: unknown) => {
      log.debug(
        { err: error },
        'there is no socket in the storage; the next core may have to wait',
      );
      return undefined;
    });
  }

  /** Makes what was claimed ours. What fails is tried again by the next step. */
  async function establish(claimed: Mine): Promise<void> {
    mine = claimed;
    const began = now();
    const tree = await inspectTree(driver);
    if (isOvertaken(tree, claimed) || isUsedUp(tree, claimed)) return await forfeit(claimed);
    await driver.touch?.(paths.claim(claimed.number));
    try {
      await renewRecord(tree);
    } catch (error) {
      // Whoever knows claims has read ours; the next step writes the record again.
      if (claimed.needsRecord) throw error;
    }
    if (!shared) await removeClaimsBefore(driver, claimed.number).catch(() => {});
    await prepare();
    waitingFor = undefined;
    watch.forget();
    confirmedAt = began;
    owned = true;
  }

  /** Another claimed after us, or a core that knows no claims has written its record. */
  function isOvertaken({ claim, record }: TreeState, { number, replaced }: Mine): boolean {
    if (claim !== undefined && claim.number > number) return !shared || record?.id !== sharedId;
    return record !== undefined && record.id !== id && record.id !== replaced?.id;
  }

  /** Another had this number before us and gave it back, since we looked: whoever looks now takes the next. */
  function isUsedUp({ claim }: TreeState, { number }: Mine): boolean {
    return claim !== undefined && claim.number === number && claim.released;
  }

  async function forfeit({ number, socket }: Mine): Promise<void> {
    mine = undefined;
    owned = false;
    await socket?.close();
    if (!shared) await driver.remove(paths.claim(number)).catch(() => {});
  }

  /** @throws StorageError */
  async function confirm(): Promise<void> {
    const held = mine;
    if (held === undefined) return;
    const began = now();
    const tree = await inspectTree(driver);
    if (isOvertaken(tree, held)) {
      owned = false;
      const by =
        tree.claim !== undefined && tree.claim.number > held.number ? tree.record : undefined;
      const host = (by ?? tree.record)?.host ?? 'another host';
      ended = new Error(`the core on ${host} has taken this storage over; this one ends`);
      await held.socket?.close();
      return;
    }
    if (tree.claim === undefined || tree.claim.number < held.number || tree.claim.released) {
      if (!shared) {
        log.warn('ownership of this storage was lost; claiming it again');
        return await forfeit(held);
      }
    } else await driver.touch?.(paths.claim(tree.claim.number));
    confirmedAt = began;
  }

  function confirmOnce(): Promise<void> {
    confirming ??= confirm().finally(() => {
      confirming = undefined;
    });
    return confirming;
  }

  async function renewRecord({ record }: TreeState): Promise<void> {
    if (mine === undefined) return;
    mine.record.counter = Math.max(mine.record.counter, shared ? (record?.counter ?? 0) : 0) + 1;
    await writeRecord(driver, mine.record);
  }

  return {
    ended: () => ended,

    reason() {
      if (owned) return undefined;
      if (ended !== undefined) return ended.message;
      if (waitingFor !== undefined) return `${waitingFor} owns the storage, or did`;
      return 'it is not certain yet that no other core owns the storage';
    },

    async step() {
      if (ended !== undefined) return;
      if (mine === undefined) await seek();
      else if (!owned) await establish(mine);
      else {
        await confirmOnce();
        if (owned && mine !== undefined) await renewRecord(await inspectTree(driver));
      }
    },

    async assertOwned() {
      if (owned && now() - confirmedAt >= times.goodFor) await confirmOnce();
      if (!owned) throw new NotOwnerError();
    },

    async release() {
      const held = mine;
      if (held === undefined || ended !== undefined) return;
      owned = false;
      mine = undefined;
      await held.socket?.close();
      if (shared) return;
      const tree = await inspectTree(driver);
      if (isOvertaken(tree, held)) return;
      // While the claim is ours: behind it stands whoever comes next, and the record is that one's.
      if (tree.record?.id === id) await driver.remove(paths.owner);
      await releaseClaim(driver, held.number);
    },
  };
}
