import { type Digest, digestParts, isDigest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { LockBusyError, LockLostError, type Locks } from '../../sessions/locks.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StorageInfo,
  type StoragePath,
  type VisibleStep,
} from '../../storage/driver.ts';
import { walkRepositories } from '../catalog.ts';
import { digestFile } from '../digest-file.ts';
import { digestsIn } from '../digests-in.ts';
import { keyOf } from '../discardable.ts';
import { createTrash, type Trash } from '../garbage/trash.ts';
import { paths } from '../paths.ts';
import { walkUploads } from '../uploads/walk-uploads.ts';
import { type CheckContext, checkNotes, checkRepository } from './check-repository.ts';
import {
  ChangedMeanwhile,
  type Finding,
  type SuspectedFinding,
  type TreeSummary,
} from './finding.ts';

export interface CheckOptions {
  /** Whether every blob is read and compared with its digest. */
  hash: boolean;
  /**
   * Makes right what can be, under these locks: those of all who write to the tree meanwhile. Undefined: only looks.
   */
  repair?: Pick<Locks, 'exclusive'> | undefined;
  /** Uploads opened before are orphans. */
  uploadsBefore: Date;
  onProgress?: (progress: CheckProgress) => void;
  now?: () => Date;
}

export interface CheckProgress {
  phase: 'repositories' | 'uploads' | 'blobs' | 'looking again';
  done: number;
  /** Undefined where it is not known beforehand. */
  total?: number;
}

export interface CheckReport {
  findings: (Finding & { repaired: boolean; repairable: boolean })[];
  summary: TreeSummary;
}

/** Looks in turn at most, where each found something to repair. */
const maxRounds = 5;

/**
 * Looks through a tree, ours or the original registry's, while it is served (docs/fsck.md). What looks
 * wrong is looked at again at the end, so that a push in the middle is no finding, and once more before it is repaired.
 */
export async function checkTree(
  driver: StorageDriver,
  options: CheckOptions,
): Promise<CheckReport> {
  const repaired: CheckReport['findings'] = [];
  /** Blobs are read in the first round only. */
  let damaged: CheckReport['findings'] = [];
  // What was moved out of its place may leave links to it, and those tags.
  for (let round = 1; ; round += 1) {
    const report = await checkOnce(driver, { ...options, hash: options.hash && round === 1 });
    const ofRound = report.findings.filter((finding) => finding.repaired);
    const others = report.findings.filter((finding) => !finding.repaired);
    repaired.push(...ofRound);
    if (round === 1) damaged = others.filter(({ kind }) => kind === 'damaged-blob');
    else others.push(...damaged);
    if (ofRound.length === 0 || round === maxRounds) {
      return { ...report, findings: [...repaired, ...others] };
    }
  }
}

async function checkOnce(driver: StorageDriver, options: CheckOptions): Promise<CheckReport> {
  const trash = createTrash(driver);
  const suspicions: SuspectedFinding[] = [];
  const context: CheckContext = {
    driver,
    trash,
    report: (suspicion) => suspicions.push(suspicion),
    summary: {
      repositories: 0,
      manifests: 0,
      tags: 0,
      blobs: { count: 0, bytes: 0 },
      unreferenced: { count: 0, bytes: 0 },
      uploads: { count: 0, bytes: 0 },
      trash: { count: await countTrash(trash) },
    },
    named: new Set(),
    now: options.now ?? (() => new Date()),
  };
  await checkPutAside(context);
  await checkNotes(context);
  for await (const repository of walkRepositories(driver, '')) {
    await checkRepository(context, repository);
    options.onProgress?.({ phase: 'repositories', done: context.summary.repositories });
  }
  await checkUploads(context, options);
  await checkBlobs(context, options);

  const report: CheckReport = { findings: [], summary: context.summary };
  for (const [index, { isStillSo, repair, ...finding }] of suspicions.entries()) {
    options.onProgress?.({ phase: 'looking again', done: index + 1, total: suspicions.length });
    if (!(await isStillSo())) continue;
    let repaired = false;
    if (options.repair !== undefined && repair !== undefined) {
      const done = await repairAlone(options.repair, finding.repository, { isStillSo, repair });
      if (done === 'not so any more') continue;
      repaired = done === 'repaired';
    }
    report.findings.push({ ...finding, repaired, repairable: repair !== undefined });
  }
  return report;
}

/** Keeps everybody else out of the repository, looks once more, and repairs. */
async function repairAlone(
  locks: Pick<Locks, 'exclusive'>,
  repository: RepositoryName | undefined,
  { isStillSo, repair }: Required<Pick<SuspectedFinding, 'isStillSo' | 'repair'>>,
): Promise<'repaired' | 'not so any more' | 'busy'> {
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    try {
      using held = await locks.exclusive(repository ?? ofBlobs);
      if (!(await isStillSo())) return 'not so any more';
      await repair({ confirm: () => held.confirm() });
      return 'repaired';
    } catch (error) {
      const isPassing =
        error instanceof ChangedMeanwhile ||
        error instanceof LockBusyError ||
        error instanceof LockLostError;
      if (!isPassing) throw error;
    }
  }
  return 'busy';
}

/** The lock for what is of no repository. */
const ofBlobs = 'repair of blobs';

/** Attempts at one repair, where others are at the same place. */
const maxAttempts = 3;

async function countTrash(trash: Trash): Promise<number> {
  const items = new Set<string>();
  for (const epoch of await trash.epochs()) {
    for await (const item of trash.items(epoch)) items.add(keyOf(item));
  }
  return items.size;
}

async function checkUploads(
  { driver, report, summary }: CheckContext,
  { uploadsBefore, onProgress }: CheckOptions,
): Promise<void> {
  let done = 0;
  for await (const { repository, id, openedAt } of walkUploads(driver)) {
    done += 1;
    onProgress?.({ phase: 'uploads', done });
    count(summary.uploads, await sizeOfUpload(driver, paths.upload(repository, id)));
    if (openedAt >= uploadsBefore) continue;
    const path = paths.upload(repository, id);
    report({
      kind: 'orphan-upload',
      repository,
      subject: id,
      message: `opened ${openedAt.toISOString()}, and never finished`,
      isStillSo: async () => (await ifPresent(driver.stat(path))) !== undefined,
      repair: (step) => driver.remove(path, step),
    });
  }
}

/** Bytes of what came of an upload. */
async function sizeOfUpload(driver: StorageDriver, folder: StoragePath): Promise<number> {
  let size = 0;
  for (const name of await driver.list(folder)) {
    const info = await ifPresent(driver.stat(paths.below(folder, name)));
    size += info?.size ?? 0;
  }
  return size;
}

async function checkBlobs(context: CheckContext, options: CheckOptions): Promise<void> {
  const { driver, report, named, summary } = context;
  const algorithms = await driver.list(paths.blobs());
  // Digests spread evenly over their first two digits, so these tell how far we are.
  const prefixes: [algorithm: string, prefix: string][] = [];
  for (const algorithm of algorithms) {
    for (const prefix of await driver.list(paths.blobs(algorithm))) {
      prefixes.push([algorithm, prefix]);
    }
  }
  for (const [index, [algorithm, prefix]] of prefixes.entries()) {
    for (const hex of await driver.list(paths.blobs(algorithm, prefix))) {
      const digest = `${algorithm}:${hex}`;
      const info = isDigest(digest) ? await ifPresent(driver.stat(paths.blob(digest))) : undefined;
      if (!isDigest(digest) || info === undefined) continue;
      count(summary.blobs, info.size);
      if (!named.has(digest)) count(summary.unreferenced, info.size);
      if (!options.hash) continue;
      const content = await lookInto(driver, digest);
      if (content === 'good') continue;
      if (content !== 'damaged') {
        report({
          kind: 'unreadable-blob',
          subject: digest,
          message: adviseOnUnreadable(driver, digest, content.why),
          isStillSo: async () => typeof (await lookInto(driver, digest)) === 'object',
        });
        continue;
      }
      let seen: StorageInfo | undefined;
      report({
        kind: 'damaged-blob',
        subject: digest,
        message: `the ${info.size} bytes stored under this digest have another one; push the content again`,
        async isStillSo() {
          seen = await ifPresent(driver.stat(paths.blob(digest)));
          return seen !== undefined && (await lookInto(driver, digest)) === 'damaged';
        },
        // Out of the way, not away: so that it can be pushed again, and looked at.
        async repair(step) {
          await step.confirm?.();
          await removeDamagedCopies(driver, context.trash, digest);
          await moveAside(driver, digest, seen, step);
        },
      });
    }
    options.onProgress?.({ phase: 'blobs', done: index + 1, total: prefixes.length });
  }
}

/** Blobs that were put aside and are right after all, as if a repair had ended in the middle. */
async function checkPutAside({ driver, report }: CheckContext): Promise<void> {
  for await (const digest of digestsIn(driver, paths.allDamaged)) {
    const [place, aside] = [paths.blob(digest), paths.damaged(digest)];
    const { algorithm } = digestParts(digest);
    const isMissing = async () =>
      (await ifPresent(driver.stat(place))) === undefined &&
      (await ifPresent(digestFile(driver, aside, algorithm))) === digest;
    if (!(await isMissing())) continue;
    report({
      kind: 'misplaced-blob',
      subject: digest,
      message: 'its bytes are right, but were put aside as damaged',
      isStillSo: isMissing,
      async repair({ confirm }) {
        await confirm?.();
        await driver.move(aside, place, { replace: false });
      },
    });
  }
}

/** What is damaged in the trash as well, as another name of the same file is, would come back from there to whoever misses it. */
async function removeDamagedCopies(
  driver: StorageDriver,
  trash: Trash,
  digest: Digest,
): Promise<void> {
  const { algorithm } = digestParts(digest);
  for await (const path of trash.copies({ kind: 'blob', digest })) {
    const found = await ifPresent(digestFile(driver, path, algorithm));
    if (found !== undefined && found !== digest) await driver.remove(path);
  }
}

/**
 * Moves the file aside that was seen. No lock tells of a push of the same content into some repository: a file that is not
 * the same as before it was read stays, or goes back at once.
 */
async function moveAside(
  driver: StorageDriver,
  digest: Digest,
  seen: StorageInfo | undefined,
  { confirm }: VisibleStep,
): Promise<void> {
  const [place, aside] = [paths.blob(digest), paths.damaged(digest)];
  const isSeen = async (path: StoragePath) => isSameFile(await ifPresent(driver.stat(path)), seen);
  await confirm?.();
  if (!(await isSeen(place))) throw new ChangedMeanwhile();
  const isTaken = await ifPresent(driver.move(place, aside).then(() => true));
  if (isTaken === undefined) throw new ChangedMeanwhile();
  if (await isSeen(aside)) return;
  await driver.move(aside, place, { replace: false }).catch((error: unknown) => {
    if (!(error instanceof StorageError && error.code === 'exists')) throw error;
  });
  throw new ChangedMeanwhile();
}

function isSameFile(one: StorageInfo | undefined, other: StorageInfo | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one.size === other.size && one.modified.getTime() === other.modified.getTime();
}

function count(sum: { count: number; bytes: number }, size: number): void {
  sum.count += 1;
  sum.bytes += size;
}

/** As long as something is in its place, whoever pushes it is told that it is here. */
function adviseOnUnreadable(driver: StorageDriver, digest: Digest, why: string): string {
  const path = paths.blob(digest);
  const place = driver.localPath?.(path) ?? path;
  return `cannot be read (${why}); look at the disk, move ${place} away, and push the content again`;
}

/** Whether the bytes of a blob are those of its digest, or why they cannot be read. One that is gone is good. */
async function lookInto(
  driver: StorageDriver,
  digest: Digest,
): Promise<'good' | 'damaged' | { why: string }> {
  const { algorithm } = digestParts(digest);
  try {
    const actual = await ifPresent(digestFile(driver, paths.blob(digest), algorithm));
    return actual === undefined || actual === digest ? 'good' : 'damaged';
  } catch (error) {
    return { why: (error as Error).message };
  }
}
