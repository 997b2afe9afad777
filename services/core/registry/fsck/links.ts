import { randomUUID } from 'node:crypto';
import { type Digest, isDigest } from '#libs/oci/digest.ts';
import {
  ifPresent,
  type StorageDriver,
  type StoragePath,
  type VisibleStep,
} from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { readAll } from '../small-files.ts';
import { NotSoAnyMore } from './finding.ts';

/** What a link file says: a crash of the original registry may leave an empty or torn one. */
export type Link = Digest | 'absent' | 'torn';

export async function readLinkState(driver: StorageDriver, path: StoragePath): Promise<Link> {
  const bytes = await ifPresent(readAll(driver, path));
  if (bytes === undefined) return 'absent';
  const text = bytes.toString('utf8').trim();
  return isDigest(text) ? text : 'torn';
}

/**
 * Takes a link out of its place, and looks at what was taken: a push at this very moment may have written another one.
 * @param isToGo judges it; what is to stay, or cannot be judged, goes back, unless there is a newer one by then
 * @throws NotSoAnyMore if there was nothing to take, or it stays; what `isToGo` throws
 */
export async function takeAway(
  driver: StorageDriver,
  path: StoragePath,
  step: VisibleStep,
  isToGo: (link: Link) => Promise<boolean>,
): Promise<void> {
  await step.confirm?.();
  const aside = paths.aside(randomUUID());
  const isTaken = await ifPresent(driver.move(path, aside).then(() => true));
  if (isTaken === undefined) throw new NotSoAnyMore();
  let isGoing = false;
  try {
    isGoing = await isToGo(await readLinkState(driver, aside));
  } finally {
    const isReplaced = (await ifPresent(driver.stat(path))) !== undefined;
    if (isGoing || isReplaced) await driver.remove(aside);
    else await driver.move(aside, path);
  }
  if (!isGoing) throw new NotSoAnyMore();
}
