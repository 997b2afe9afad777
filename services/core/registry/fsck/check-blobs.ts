import { type Digest, digestParts, isDigest } from '#libs/oci/digest.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StorageInfo,
  type StoragePath,
  type VisibleStep,
} from '../../storage/driver.ts';
import { digestFile } from '../digest-file.ts';
import { digestsIn } from '../digests-in.ts';
import type { Trash } from '../garbage/trash.ts';
import { paths } from '../paths.ts';
import type { CheckContext, CheckOptions } from './check-context.ts';
import { ChangedMeanwhile, count } from './finding.ts';

/** Looks at every blob in its place, and into it if it is to be hashed. */
export async function checkBlobs(
  context: CheckContext,
  options: Pick<CheckOptions, 'hash' | 'onProgress'>,
): Promise<void> {
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
        message: `the ${info.size} bytes stored under this digest have another one; --repair puts them aside, then push the content again`,
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
export async function checkPutAside({ driver, report }: CheckContext): Promise<void> {
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
