import { statfs } from 'node:fs/promises';

/** Filesystems that one kernel at a time has mounted, by the numbers of statfs(2). */
const ofOneMachine: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext2, ext3, ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0xca451a4e, 'bcachefs'],
  [0x3153464a, 'jfs'],
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlayfs'],
]);

/**
 * Whether no other kernel can have the filesystem mounted now. What comes over a network, from a host of a virtual
 * machine (9p, virtiofs) or from another process (FUSE) may be used elsewhere as well, and so may what we do not know.
 */
export async function belongsToThisMachine(path: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  try {
    const { type } = await statfs(path);
    return isOfOneMachine(type);
  } catch {
    return false;
  }
}

/** @param type as statfs tells it, which some systems extend by the sign of its 32 bits */
export function isOfOneMachine(type: number): boolean {
  return ofOneMachine.has(type >>> 0);
}
