import type { BigIntStats } from 'node:fs';

/**
 * What tells a file, as it is, from what its path stood for at another time: while all of it is the same, so is what the
 * file has.
 */
export interface FileState {
  device: bigint;
  inode: bigint;
  /** Bytes. */
  size: bigint;
  /** Of its content, in ns since the epoch. */
  modified: bigint;
  /** Of anything of it, in ns since the epoch. Cannot be set by anybody, so it tells a file from a later one with its inode. */
  changed: bigint;
}

/**
 * A file that changed so lately may change again without another time: clocks of filesystems tick in milliseconds, some in
 * whole seconds, and the inode of a file that was replaced is that of the next but one. In ns.
 */
const settlesIn = 2_000_000_000n;

export function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  return { device: dev, inode: ino, size, modified: mtimeNs, changed: ctimeNs };
}

export function isSameState(one: FileState, other: FileState): boolean {
  return (
    one.inode === other.inode &&
    one.changed === other.changed &&
    one.modified === other.modified &&
    one.size === other.size &&
    one.device === other.device
  );
}

/**
 * Whether any later change of the file shows in its state. One that says it changed in the future does not.
 * @param now milliseconds since the epoch, by the clock of the machine that has the file
 */
export function isSettled({ changed, modified }: FileState, now: number): boolean {
  const settled = BigInt(Math.floor(now)) * 1_000_000n - settlesIn;
  return changed < settled && modified < settled;
}
