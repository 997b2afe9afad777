import type { RepositoryName } from '#libs/oci/reference.ts';
import { LockBusyError, LockLostError, type Locks } from '../../sessions/locks.ts';
import { ifPresent, type StorageDriver, type StoragePath } from '../../storage/driver.ts';
import { walkRepositories } from '../catalog.ts';
import { keyOf } from '../discardable.ts';
import { createTrash, type Trash } from '../garbage/trash.ts';
import { paths } from '../paths.ts';
import { walkUploads } from '../uploads/walk-uploads.ts';
import { checkBlobs, checkPutAside } from './check-blobs.ts';
import type { CheckContext, CheckOptions } from './check-context.ts';
import { checkNotes } from './check-notes.ts';
import { checkRepository } from './check-repository.ts';
import {
  ChangedMeanwhile,
  count,
  type Finding,
  type SuspectedFinding,
  type TreeSummary,
} from './finding.ts';

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
