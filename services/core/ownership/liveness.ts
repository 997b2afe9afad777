import { paths } from '../registry/paths.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { askSocket } from './claim-socket.ts';
import { locateProcess } from './process-identity.ts';
import { describesClaim, type TreeState } from './tree-state.ts';

/** What is proved of the owner of a tree; what is not proved, its counter tells. */
export type Liveness = 'alive' | 'dead' | 'unknown';

export type LivenessProbe = (tree: TreeState) => Promise<Liveness>;

/**
 * Judges by what this machine knows, where the storage is a filesystem of it. Of a filesystem that other machines may
 * use as well, an owner elsewhere proves nothing: host names repeat, and a socket is refused everywhere but at home.
 */
export function createLivenessProbe(driver: StorageDriver): LivenessProbe {
  let local: Promise<boolean> | undefined;
  const isLocal = async () => {
    local ??= driver.belongsToThisMachine?.() ?? Promise.resolve(false);
    return await local;
  };

  async function bySocket({ claim }: TreeState): Promise<Liveness> {
    if (claim === undefined || claim.released) return 'unknown';
    const path = driver.localPath?.(paths.claimSocket(claim.number));
    const answer = path === undefined ? 'unknown' : await askSocket(path);
    if (answer === 'accepted') return 'alive';
    return answer === 'refused' && (await isLocal()) ? 'dead' : 'unknown';
  }

  async function byProcess({ record }: TreeState): Promise<Liveness> {
    const found = await locateProcess(record?.process ?? '');
    if (found === 'ended') return 'dead';
    return found === 'earlier or other boot' && (await isLocal()) ? 'dead' : 'unknown';
  }

  return async (tree) => {
    const [socket, owner] = await Promise.all([bySocket(tree), byProcess(tree)]);
    if (socket === 'alive') return 'alive';
    const claimed = tree.claim !== undefined && !tree.claim.released;
    if (!claimed) return owner;
    if (describesClaim(tree)) return socket === 'unknown' ? owner : socket;
    // Whoever made an earlier claim sees the later one.
    if (tree.record?.claim !== undefined || tree.record === undefined) return socket;
    // One has claimed, another has written the record: the tree is free when neither is left.
    return socket === 'dead' && owner === 'dead' ? 'dead' : 'unknown';
  };
}
