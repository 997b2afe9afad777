import { parseRange } from '#libs/http/range.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified } from './caching.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { Handler } from './handler.ts';

/** What a digest names never changes, so it may be kept for ever. */
const cacheControl = 'max-age=31536000';

/** GET and HEAD of a blob, whole or one range of it (distribution-spec, "Pulling blobs"). */
export function getBlob({ blobs }: Registry): Handler {
  return async (ctx, { name, digest }) => {
    const { size } = await blobs.stat(name, digest);
    describeContent(ctx, digest);
    ctx.set('Cache-Control', cacheControl);
    ctx.set('Accept-Ranges', 'bytes');
    if (isNotModified(ctx, digest)) return;
    ctx.type = 'application/octet-stream';
    const range = ctx.method === 'HEAD' ? undefined : parseRange(ctx.get('Range'), size);
    if (range === 'unsatisfiable') {
      ctx.set('Content-Range', `bytes */${size}`);
      throw new RegistryError('RANGE_INVALID', {
        message: `the blob has ${size} bytes`,
        detail: { size },
      });
    }
    if (range !== undefined) {
      ctx.status = 206;
      ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
    } else {
      ctx.status = 200;
    }
    const stream = ctx.method === 'HEAD' ? undefined : await blobs.open(name, digest, range);
    if (stream !== undefined) ctx.body = stream;
    ctx.type = 'application/octet-stream';
    ctx.length = range === undefined ? size : range.end - range.start + 1;
  };
}

/** DELETE of a blob from one repository (distribution-spec, "Deleting blobs"). */
export function deleteBlob({ blobs }: Registry, deleteEnabled: boolean): Handler {
  return async (ctx, { name, digest }) => {
    assertDeleteEnabled(deleteEnabled);
    await blobs.remove(name, digest);
    ctx.set('Docker-Content-Digest', digest);
    ctx.status = 202;
  };
}
