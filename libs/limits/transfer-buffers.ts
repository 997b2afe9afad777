import type { Budget, Lease, TakeOptions } from './budget.ts';
import type { Parties } from './parties.ts';

const KiB = 1024;

/**
 * Bytes that are read at a time: as many as are fast while there is memory for it, few when there are many
 * who take them slowly.
 */
const pieces = { most: 1024 * KiB, usual: 64 * KiB, least: 16 * KiB };
/** Pieces of one transfer that are in memory: one on its way, one read ahead. */
const piecesHeld = 2;

/**
 * Takes the memory of one transfer from a budget of bytes.
 * @param size bytes that are to be sent
 * @returns the lease, and bytes to be read at a time
 * @throws RegistryError TOOMANYREQUESTS
 */
export async function takeTransferBuffers(
  budget: Budget,
  parties: Parties,
  size: number,
  options?: TakeOptions,
): Promise<{ lease: Lease; pieceSize: number }> {
  const lease = await budget.take(
    parties,
    Math.min(size, pieceSizeNow(budget) * piecesHeld),
    options,
  );
  return { lease, pieceSize: Math.max(pieces.least, Math.floor(lease.amount / piecesHeld)) };
}

/** Large ones are for the first quarter of the memory, the least for the last half. */
function pieceSizeNow({ capacity, used }: Budget): number {
  if (used > capacity / 2) return pieces.least;
  const forLarge = Math.max(0, capacity / 4 - used);
  return Math.min(pieces.most, Math.max(pieces.usual, Math.floor(forLarge / 32)));
}
