import type { StorageDriver } from '../../storage/driver.ts';
import type { Discardable } from '../discardable.ts';
import { createEpoch, epochBegan, epochLength } from './epoch.ts';
import type { Trash } from './trash.ts';

export interface CollectOptions {
  /** Also manifests that no tag, index or subject keeps are garbage. */
  untagged: boolean;
  /** Only find out; nothing is taken away. */
  dryRun: boolean;
  /** Milliseconds; nothing younger is garbage. */
  delay: number;
  /** Milliseconds the trash keeps what came; 0 empties it at once, when nobody pushes. */
  grace: number;
  /** Called for each thing that is garbage, before it goes. */
  onGarbage?: (item: Discardable, size: number) => void;
  onProgress?: (progress: CollectProgress) => void;
  /** Ends it between two things, with what it is aborted with. */
  signal?: AbortSignal;
  now?: () => Date;
}

export interface CollectProgress {
  phase: 'marking' | 'sweeping' | 'emptying';
  /** Repositories marked, blobs looked at, or items removed so far. */
  done: number;
}

/** What a collection did, or would do. Sizes in bytes. */
export interface CollectReport {
  repositories: number;
  kept: { manifests: number; blobs: number };
  /** Manifests that are away or damaged: of their repositories no manifest and no layer goes. */
  absent: { manifests: number };
  /** Taken to the trash. */
  garbage: { manifests: number; layers: number; blobs: number; bytes: number };
  /** Not needed, and left alone because they are younger than the delay. */
  young: { layers: number; blobs: number; bytes: number };
  /** What is in the trash afterwards, and since when the oldest of it; undefined if it is empty. */
  trash: { items: number; since: Date | undefined };
  /** Removed for good, from earlier collections. */
  freed: { items: number; bytes: number };
  /** Repositories that were empty, and are gone. */
  removedRepositories: number;
}

/** Takes an item to the trash. */
type Discard = (item: Discardable, size: number) => Promise<void>;

/** What all steps of one collection share. */
export interface Collection {
  driver: StorageDriver;
  trash: Trash;
  options: CollectOptions;
  /** Only what is older than this is garbage. */
  olderThan: Date;
  discard: Discard;
  report: CollectReport;
  /** Does what needs room, until there is none. */
  whileThereIsRoom(action: () => Promise<void>): Promise<void>;
}

export function createDiscard(trash: Trash, options: CollectOptions, now: () => Date): Discard {
  let epoch = createEpoch(now());
  return async (item, size) => {
    options.signal?.throwIfAborted();
    options.onGarbage?.(item, size);
    if (options.dryRun) return;
    if (now().getTime() - epochBegan(epoch).getTime() > epochLength) {
      epoch = createEpoch(now());
    }
    await trash.discard(epoch, item);
  };
}
