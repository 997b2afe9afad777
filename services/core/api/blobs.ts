import { Readable } from 'node:stream';
import {
  type ByteRange,
  formatRange,
  type Multipart,
  multipart,
  parseRanges,
} from '#libs/http/range.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified, rangeApplies } from './conditions.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { CoreContext, Handler } from './handler.ts';

/** What a digest names never changes, so it may be kept for ever. */
const cacheControl = 'max-age=31536000';
const octets = 'application/octet-stream';

/** GET and HEAD of a blob, whole or in ranges (distribution-spec, "Pulling blobs"). */
export function getBlob({ blobs }: Registry): Handler {
  return async (ctx, { name, digest }) => {
    const { size } = await blobs.stat(name, digest);
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
    const open = (range?: ByteRange) => blobs.open(name, digest, range);
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
    await blobs.remove(name, digest);
    ctx.set('Docker-Content-Digest', digest);
    ctx.status = 202;
    ctx.state.audit('delete', { repository: name, blob: digest });
  };
}
