import { Readable } from 'node:stream';
import { answerWithFile, bytesOf } from '#libs/bodies/send-file.ts';
import { type ByteRange, formatRange, type Multipart, multipart } from '#libs/http/byte-ranges.ts';
import { disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import { formatFileOffer, isBlobPath } from '#libs/http/file-offer.ts';
import { Http1Response } from '#libs/http/http1-messages.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { takeTransferBuffers } from '#libs/limits/transfer-buffers.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { CoreBudgets } from '../budgets.ts';
import { pathInTree } from '../registry/paths.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified, rangeApplies, writeCondition } from './conditions.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { CoreContext, Handler } from './handler.ts';
import { parseRanges } from './range.ts';
import { nameValidators, seesTree, type VisibleTree, validatorsFor } from './visible-tree.ts';

/** What a digest names never changes, so it may be kept for ever. */
const cacheControl = 'max-age=31536000';
const octets = 'application/octet-stream';

/**
 * GET and HEAD of a blob, whole or in ranges (distribution-spec, "Pulling blobs").
 * @param tree undefined where gateways cannot see it
 */
export function getBlob(
  { blobs }: Registry,
  budgets: Pick<CoreBudgets, 'downloads'>,
  tree?: VisibleTree,
): Handler {
  return async (ctx, { name, digest }) => {
    const files = validatorsFor(ctx, tree);
    const blob = await blobs.get(name, digest, files);
    const { size } = blob;
    describeContent(ctx, digest);
    ctx.set('Cache-Control', cacheControl);
    ctx.set('Accept-Ranges', 'bytes');
    if (isNotModified(ctx, digest)) return;
    if (ctx.method === 'HEAD') {
      ctx.status = 200;
      ctx.type = octets;
      ctx.length = size;
      nameValidators(ctx, files);
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
    const path = pathInTree(blob.path);
    // What cannot be brought back from the trash is not the gateway's to find.
    if (isBlobPath(path) && seesTree(ctx, tree)) {
      ctx.status = ranges === undefined ? 200 : 206;
      ctx.type = octets;
      const offer = { path, size, ranges: ranges ?? [] };
      ctx.set(internalHeaders.file, formatFileOffer(offer));
      if (ranges === undefined) nameValidators(ctx, files);
      ctx.body = '';
      return;
    }
    const sent = { size, ranges: ranges ?? [] };
    const [first, ...others] = sent.ranges;
    const { client, subject } = ctx.state.caller;
    const { lease, pieceSize } = await takeTransferBuffers(
      budgets.downloads,
      partiesOf(client, subject),
      bytesOf(sent),
      { signal: whileClientWaits(ctx.res) },
    );
    disposeWithAnswer(ctx.res, lease);
    if (blob.openFile !== undefined) {
      const file = await blob.openFile();
      const begin = () => {
        ctx.status = ranges === undefined ? 200 : 206;
        ctx.type = octets;
        ctx.respond = false;
      };
      const onError = (error: unknown) =>
        ctx.state.log.error({ err: error }, 'a blob cannot be read');
      await answerWithFile(file, sent, ctx.res, { pieceSize, begin, onError });
      return;
    }
    const open = (range?: ByteRange) => blob.open(range, { pieceSize });
    if (others.length > 0) {
      await sendParts(ctx, multipart(ranges ?? [], { type: octets, size }), open);
      return;
    }
    const body = await open(first);
    ctx.body = body;
    ctx.status = first === undefined ? 200 : 206;
    ctx.type = octets;
    ctx.length = first === undefined ? size : first.end - first.start + 1;
    if (first !== undefined) ctx.set('Content-Range', formatRange(first, size));
    breakOffWhereShort(ctx, body);
  };
}

/** A file that ends too early, as one that somebody cuts off meanwhile, must not leave its client waiting for the rest. */
function breakOffWhereShort(ctx: CoreContext, body: Readable): void {
  const { res, length } = ctx;
  body.once('end', () => {
    if (res instanceof Http1Response && res.written < length) res.destroy();
  });
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
      let left = range.end - range.start + 1;
      for await (const bytes of (await open(range)) as AsyncIterable<Buffer>) {
        left -= bytes.length;
        yield bytes;
      }
      if (left > 0) throw new Error(`the blob ends ${left} bytes before the end of a range`);
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
