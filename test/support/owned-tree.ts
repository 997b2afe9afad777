import assert from 'node:assert/strict';
import type { Liveness } from '../../services/core/ownership/liveness.ts';
import { createOwner, type Owner, type OwnerTimes } from '../../services/core/ownership/owner.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { readAll } from '../../services/core/registry/small-files.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { createFailingDriver, type FailingDriver } from './failing-driver.ts';
import { createRecordingLog } from './recording-log.ts';

export const times: OwnerTimes = { stillFor: 15_000, waitFor: 60_000, goodFor: 10_000 };

export const owns = (owner: Owner): boolean => owner.reason() === undefined;

/** What a core of a version before claims leaves, on another machine or in another container. */
export const recordOfOther = (counter: number, id = 'other') => ({
  id,
  counter,
  host: 'elsewhere',
});

/** A tree in memory, and cores that want it, with one clock. */
export class OwnedTree {
  readonly driver: FailingDriver = createFailingDriver(createMemoryDriver());
  readonly #recording = createRecordingLog();
  /** The one clock of all, in milliseconds. */
  time = 1_000_000;
  /** What can be proved of whoever owns the tree. */
  liveness: Liveness = 'unknown';
  /** How often an owner cleared what others left. */
  prepared = 0;

  candidate(shared = false, driver: StorageDriver = this.driver, isCommand = false): Owner {
    return createOwner({
      driver,
      isCommand,
      log: this.#recording.log,
      probeLiveness: async () => this.liveness,
      shared,
      times,
      now: () => this.time,
      prepare: async () => {
        this.prepared += 1;
      },
    });
  }

  async owning(shared = false): Promise<Owner> {
    const owner = this.candidate(shared);
    await owner.step();
    assert.ok(owns(owner));
    return owner;
  }

  messages = (): string[] => this.#recording.messages();

  async record(): Promise<Record<string, unknown>> {
    return JSON.parse((await readAll(this.driver, paths.owner)).toString()) as never;
  }

  async writeRecord(value: unknown): Promise<void> {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    await this.driver.put(paths.owner, Buffer.from(text));
  }

  names = () => this.driver.list(paths.claims);
}
