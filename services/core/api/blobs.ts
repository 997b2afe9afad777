import { Readable } from 'node:stream';
import { disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import type { Budget } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified, rangeApplies, writeCondition } from './conditions.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { CoreContext, Handler } from './handler.ts';
import { type ByteRange, formatRange, type Multipart, multipart, parseRanges } from './range.ts';

/** What a digest names never changes, so it may be kept for ever. */
const cacheControl = 'max-age=31536000';
const octets = 'application/octet-stream';

/** GET and HEAD of a blob, whole or in ranges (distribution-spec, "Pulling blobs"). */
export function getBlob({ blobs }: Registry, budgets: Pick<CoreBudgets, 'downloads'>): Handler {
  return async (ctx, { name, digest }) => {
    const blob = await blobs.get(name, digest);
    const { size } = blob;
    describeContent(ctx, digest);
    ctx.set('Cache-Control', cacheControl);
    ctx.set('Accept-Ranges', 'bytes');
    if (isNotModified(ctx, digest)) return;
    if (ctx.method === 'HEAD') {
      ctx.status = 200;
      ctx.type = octets;
      ctx.length = size;
      return;
    }
    const ranges = rangeApplies(ctx, digest) ? parseRanges(ctx.get('Range'), size) : undefined;
    if (ranges === 'unsatisfiable') {
      ctx.set('Content-Range', `bytes */${size}`);
      throw new RegistryError('RANGE_INVALID', {
        message: `the blob has ${size} bytes`,
        detail: { size },
      });
    }
    const [first, ...others] = ranges ?? [];
    const pieceSize = await takeBuffers(ctx, budgets.downloads, size);
    const open = (range?: ByteRange) => blob.open(range, { pieceSize });
    if (others.length > 0) {
      await sendParts(ctx, multipart(ranges ?? [], { type: octets, size }), open);
      return;
    }
    ctx.body = await open(first);
    ctx.status = first === undefined ? 200 : 206;
    ctx.type = octets;
    ctx.length = first === undefined ? size : first.end - first.start + 1;
    if (first !== undefined) ctx.set('Content-Range', formatRange(first, size));
  };
}

const KiB = 1024;

/**
 * Bytes that are read at a time: as many as are fast while there is memory for it, few when there are many
 * who take them slowly.
 */
const pieces = { most: 1024 * KiB, usual: 64 * KiB, least: 16 * KiB };
/** Pieces of one transfer that are in memory: one on its way, one read ahead. */
const piecesHeld = 2;

/**
 * Takes the memory of one transfer from the budget, until its answer is over.
 * @returns bytes to be read at a time
 * @throws RegistryError TOOMANYREQUESTS
 */
async function takeBuffers(ctx: CoreContext, budget: Budget, size: number): Promise<number> {
  const { client, subject } = ctx.state.caller;
  const lease = await budget.take(
    partiesOf(client, subject),
    Math.min(size, pieceSizeNow(budget) * piecesHeld),
    { signal: whileClientWaits(ctx.res) },
  );
  disposeWithAnswer(ctx.res, lease);
  return Math.max(pieces.least, Math.floor(lease.amount / piecesHeld));
}

/** Large ones are for the first quarter of the memory, the least for the last half. */
function pieceSizeNow({ capacity, used }: Budget): number {
  if (used > capacity / 2) return pieces.least;
  const forLarge = Math.max(0, capacity / 4 - used);
  return Math.min(pieces.most, Math.max(pieces.usual, Math.floor(forLarge / 32)));
}

/** Answers with several ranges, one after the other (RFC 9110 section 14.6). */
async function sendParts(
  ctx: CoreContext,
  { contentType, length, parts, end }: Multipart,
  open: (range: ByteRange) => Promise<Readable>,
): Promise<void> {
  async function* body(): AsyncGenerator<Buffer> {
    for (const { head, range } of parts) {
      yield head;
      yield* (await open(range)) as AsyncIterable<Buffer>;
    }
    yield end;
  }
  ctx.body = Readable.from(body(), { objectMode: false });
  ctx.status = 206;
  ctx.type = contentType;
  ctx.length = length;
}

/** DELETE of a blob from one repository (distribution-spec, "Deleting blobs"). */
export function deleteBlob({ blobs }: Registry, deleteEnabled: boolean): Handler {
  return async (ctx, { name, digest }) => {
    assertDeleteEnabled(deleteEnabled);
    await blobs.remove(name, digest, writeCondition(ctx), ctx.state.requester);
    ctx.set('Docker-Content-Digest', digest);
    ctx.status = 202;
    ctx.state.audit('delete', { repository: name, blob: digest });
  };
}
