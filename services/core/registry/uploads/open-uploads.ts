import { nameOf } from '#libs/limits/parties.ts';
import { createShares, type Shares } from '#libs/limits/shares.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';

/** For whom an upload is counted. */
export interface UploadOwner {
  repository: RepositoryName;
  /** Empty for an anonymous client, which is counted by the repository and by its network. */
  subject: string;
  /** Of an anonymous client; undefined where it is not known, as of one that an earlier version began. */
  network?: string | undefined;
}

/** An upload that has not ended, as far as this core knows. */
export interface OpenUpload extends UploadOwner {
  id: UploadId;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** True until it has a byte. */
  empty: boolean;
}

/** What one upload with bytes counts; one without has cost its owner nothing yet, and counts ten times as much. */
const weights = { empty: 10, filled: 1 } as const;

/**
 * How many uploads are open: of each account; of anonymous clients of each network, and in each repository, where
 * networks share what there is as they do any budget.
 */
export interface OpenUploads {
  readonly size: number;
  /**
   * A place for one that is about to be begun, until it is let go of.
   * @returns undefined if there is no room
   */
  reserve(owner: UploadOwner): Disposable | undefined;
  /** One that was begun, or was found; one that is known already stays as it is. */
  add(upload: OpenUpload): void;
  /** It has bytes now. */
  fill(id: UploadId): void;
  /** It has ended. */
  remove(id: UploadId): void;
  has(id: UploadId): boolean;
  /** Those that were begun before a time. */
  before(time: number): OpenUpload[];
  /** What has no room for one more of this owner: each of an account, a network or a repository. */
  fullFor(owner: UploadOwner): string[];
  /** Those that are counted there. @param full one of {@link OpenUploads.fullFor} */
  in(full: string): OpenUpload[];
  /** What the account, repository or network that has most of all has, in uploads without a byte. */
  most(): number;
}

/** @param maxOpenUploads uploads without a byte for each of these; of those with, ten times as many */
export function createOpenUploads(maxOpenUploads: number): OpenUploads {
  const capacity = maxOpenUploads * weights.empty;
  const known = new Map<UploadId, OpenUpload>();
  const loads = new Map<string, number>();
  /** What anonymous clients have in a repository. */
  const repositories = new Map<RepositoryName, Shares>();

  const weightOf = ({ empty }: { empty: boolean }) => (empty ? weights.empty : weights.filled);

  function weigh(upload: UploadOwner & { empty: boolean }, sign: 1 | -1): void {
    const weight = weightOf(upload);
    for (const key of keysOf(upload)) {
      const load = (loads.get(key) ?? 0) + sign * weight;
      if (load > 0) loads.set(key, load);
      else loads.delete(key);
    }
    if (upload.subject !== '') return;
    const shares = repositories.get(upload.repository) ?? createShares(capacity);
    shares.add(partiesIn(upload), sign * weight);
    if (shares.used > 0) repositories.set(upload.repository, shares);
    else repositories.delete(upload.repository);
  }

  function fullFor(owner: UploadOwner): string[] {
    const full = keysOf(owner).filter((key) => (loads.get(key) ?? 0) >= capacity);
    if (owner.subject !== '') return full;
    const shares = repositories.get(owner.repository);
    const isFull = shares?.has(partiesIn(owner), weights.empty) === false;
    return isFull ? [...full, `in ${owner.repository}`] : full;
  }

  function remove(id: UploadId): void {
    const upload = known.get(id);
    if (upload === undefined) return;
    known.delete(id);
    weigh(upload, -1);
  }

  return {
    get size() {
      return known.size;
    },
    reserve(owner) {
      if (fullFor(owner).length > 0) return undefined;
      const upload = { ...owner, empty: true };
      weigh(upload, 1);
      return { [Symbol.dispose]: () => weigh(upload, -1) };
    },
    add(upload) {
      if (known.has(upload.id)) return;
      known.set(upload.id, { ...upload });
      weigh(upload, 1);
    },
    fill(id) {
      const upload = known.get(id);
      if (upload === undefined || !upload.empty) return;
      weigh(upload, -1);
      upload.empty = false;
      weigh(upload, 1);
    },
    remove,
    has: (id) => known.has(id),
    before: (time) => [...known.values()].filter(({ startedAt }) => startedAt < time),
    fullFor,
    in: (full) => [...known.values()].filter((one) => placesOf(one).includes(full)),
    most() {
      let most = 0;
      for (const load of loads.values()) most = Math.max(most, load);
      for (const { used } of repositories.values()) most = Math.max(most, used);
      return Math.ceil(most / weights.empty);
    },
  };
}

/** Whose an upload is among others: its account's, or without one its network's. Undefined where that is not known. */
export function partyOf({
  subject,
  network,
}: Pick<UploadOwner, 'subject' | 'network'>): string | undefined {
  if (subject === '' && network === undefined) return undefined;
  return nameOf({ subject, networks: [network ?? ''] });
}

/** By what one is counted alone. */
function keysOf(owner: UploadOwner): string[] {
  const party = partyOf(owner);
  return party === undefined ? [] : [party];
}

/** All that one counts in. */
const placesOf = (owner: UploadOwner) =>
  owner.subject === '' ? [...keysOf(owner), `in ${owner.repository}`] : keysOf(owner);

/** Who shares a repository with others: a network, so that none keeps others out. */
const partiesIn = ({ network }: UploadOwner) => ({ subject: '', networks: [network ?? ''] });
