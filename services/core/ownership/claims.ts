import { paths } from '../registry/paths.ts';
import { type StorageDriver, StorageError } from '../storage/driver.ts';

/**
 * A numbered file that says: the tree is mine. The highest number is the owner's. Files are made only where there was
 * none, so of several who claim at once one wins. The highest file always stays. One that was released counts no more,
 * also if somebody who looked before its first owner came makes it again.
 */
export interface Claim {
  number: number;
  /** Its owner gave the tree back. */
  released: boolean;
}

const pattern = /^(\d{1,15})(\.released|\.sock)?$/;

/** The claim with the highest number; undefined where nobody ever claimed. */
export async function highestClaim(driver: StorageDriver): Promise<Claim | undefined> {
  let highest: Claim | undefined;
  for (const name of await driver.list(paths.claims)) {
    const [, digits, kind] = pattern.exec(name) ?? [];
    if (digits === undefined || kind === '.sock') continue;
    const number = Number(digits);
    if (highest === undefined || number >= highest.number) {
      highest = { number, released: kind !== undefined };
    }
  }
  return highest;
}

/** @returns false if somebody else has made this claim */
export async function makeClaim(driver: StorageDriver, number: number): Promise<boolean> {
  try {
    // Empty, so that a full disk takes it as well.
    await (await driver.openWriter(paths.claim(number))).close();
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.code === 'exists') return false;
    throw error;
  }
}

/** Gives the tree back; whoever looks next may claim it. */
export async function releaseClaim(driver: StorageDriver, number: number): Promise<void> {
  await driver.rename(paths.claim(number), paths.releasedClaim(number));
}

/** Removes what was claimed before, with the sockets of those owners. */
export async function removeClaimsBefore(driver: StorageDriver, number: number): Promise<void> {
  for (const name of await driver.list(paths.claims)) {
    const digits = pattern.exec(name)?.[1];
    if (digits !== undefined && Number(digits) < number) {
      await driver.remove(paths.below(paths.claims, name));
    }
  }
}
