import type { IncomingMessage } from 'node:http';
import { covers } from '#libs/access/scope.ts';
import { PieceBuffers, uploadSizes } from '#libs/bodies/piece-buffers.ts';
import { piecesOf } from '#libs/bodies/pieces-of.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import {
  type Digest,
  digestParts,
  isDigest,
  parseDigest,
  parseDigestAlgorithm,
} from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { Registry } from '../registry/registry.ts';
import type { UploadKey } from '../registry/uploads/session-access.ts';
import { cutShort, type UploadChunk } from '../registry/uploads/take-chunk.ts';
import type { CoreContext, Handler } from './handler.ts';
import { askForBody, delegateTo, isBodyHeld } from './held-body.ts';
import { parseChunkRange } from './range.ts';
import type { VisibleTree } from './visible-tree.ts';

/**
 * POST: opens a session, or with `mount` takes the blob from another repository, or with `digest`
 * takes the whole blob from the body (distribution-spec, "Pushing blobs"). A mount that cannot be is
 * no error: the client gets a session and uploads.
 */
export function startUpload(registry: Registry, tree?: VisibleTree): Handler {
  const { uploads } = registry;
  return async (ctx, { name }) => {
    const query = queryOf(ctx);
    const mount = query.get('mount') ?? '';
    // What cannot be read cannot be mounted, which is no error.
    if (isDigest(mount)) {
      // A body that has no use here: behind bytes that nobody takes the end of the connection is not seen.
      if (query.get('digest') === null) ctx.req.resume();
      if (await mountBlob(ctx, registry, { to: name, digest: mount, query })) {
        created(ctx, name, mount);
        const from = query.get('from') ?? undefined;
        ctx.state.audit('mount', { repository: name, digest: mount, from });
        return;
      }
    }
    const { subject, client } = ctx.state.caller;
    const [network] = partiesOf(client).networks;
    const whole = query.get('digest');
    if (whole === null) {
      const algorithm = parseDigestAlgorithm(query.get('digest-algorithm') ?? 'sha256');
      const { id } = await uploads.start(name, subject, algorithm, network);
      describeUpload(ctx, name, id, 0);
      if (uploads.chunkMinLength > 0) {
        ctx.set('OCI-Chunk-Min-Length', String(uploads.chunkMinLength));
      }
      ctx.status = 202;
      return;
    }
    const digest = parseDigest(whole);
    const { id } = await uploads.start(name, subject, digestParts(digest).algorithm, network);
    const key = { repository: name, id, subject };
    try {
      await uploads.complete(key, digest, readChunk(ctx, tree), ctx.state.requester);
    } catch (error) {
      // The client never learns of this session, so it must not stay.
      await uploads.cancel(key).catch(() => {});
      throw error;
    }
    created(ctx, name, digest);
  };
}

/** GET: how far a session got (distribution-spec, "Pushing a blob in chunks"). */
export function uploadStatus({ uploads }: Registry): Handler {
  return async (ctx, { name, session }) => {
    const { offset } = await uploads.status(keyOf(ctx, name, session));
    describeUpload(ctx, name, session, offset);
    ctx.status = 204;
  };
}

/** PATCH: the next bytes of a session. */
export function appendUpload({ uploads }: Registry, tree?: VisibleTree): Handler {
  return async (ctx, { name, session }) => {
    const key = keyOf(ctx, name, session);
    const offset = await withTrueRange(ctx, key, () =>
      uploads.append(key, readChunk(ctx, tree), ctx.state.requester),
    );
    describeUpload(ctx, name, session, offset);
    ctx.status = 202;
  };
}

/**
 * PUT: the end of a session, with the last bytes or none, and the digest of the whole. Asked again, as by a
 * client whose answer was lost, it is 201 again as long as the repository has the blob.
 */
export function completeUpload({ blobs, uploads }: Registry, tree?: VisibleTree): Handler {
  return async (ctx, { name, session }) => {
    const key = keyOf(ctx, name, session);
    const digest = queryOf(ctx).get('digest');
    if (digest === null) {
      throw new RegistryError('DIGEST_INVALID', {
        message: 'the digest parameter is missing: PUT …?digest=sha256:…',
      });
    }
    const parsed = parseDigest(digest);
    try {
      await withTrueRange(ctx, key, () =>
        uploads.complete(key, parsed, readChunk(ctx, tree), ctx.state.requester),
      );
    } catch (error) {
      const gone = error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
      if (!gone || !(await blobs.has(name, parsed))) throw error;
    }
    created(ctx, name, parsed);
  };
}

/** DELETE: the end of a session that will not become a blob. */
export function cancelUpload({ uploads }: Registry): Handler {
  return async (ctx, { name, session }) => {
    await uploads.cancel(keyOf(ctx, name, session), ctx.state.requester);
    ctx.status = 204;
  };
}

function keyOf(ctx: CoreContext, repository: RepositoryName, id: UploadId): UploadKey {
  return { repository, id, subject: ctx.state.caller.subject };
}

interface WantedMount {
  to: RepositoryName;
  digest: Digest;
  query: URLSearchParams;
}

/**
 * Mounts from the repository that is named, or from any of those this token covers if none is. The rules
 * are not asked again: a token grants what it says, and a client that did not ask for its source uploads.
 */
async function mountBlob(
  ctx: CoreContext,
  { blobs }: Registry,
  { to, digest, query }: WantedMount,
): Promise<boolean> {
  const { granted } = ctx.state.caller;
  const mayPull = (name: RepositoryName) =>
    granted === undefined || covers(granted, { type: 'repository', name, actions: ['pull'] });
  const named = query.get('from');
  if (named === null)
    return await blobs.mountFromAnywhere(to, digest, mayPull, ctx.state.requester);
  return (
    isRepositoryName(named) &&
    mayPull(named) &&
    (await blobs.mount(named, to, digest, ctx.state.requester))
  );
}

/** Parameters of the URL. Some scripts write `$location?digest=…` also where the location has a query already. */
function queryOf(ctx: CoreContext): URLSearchParams {
  return new URLSearchParams(ctx.querystring.replaceAll('?', '&'));
}

function readChunk(ctx: CoreContext, tree: VisibleTree | undefined): UploadChunk {
  const isHeld = isBodyHeld(ctx);
  const length = ctx.get(isHeld ? internalHeaders.bodyLength : 'Content-Length');
  const announced = length === '' ? undefined : Number(length);
  const source = (signal: AbortSignal) => {
    if (isHeld) askForBody(ctx);
    return bodyOf(ctx.req, signal);
  };
  const delegate = isHeld ? delegateTo(ctx, tree) : undefined;
  const locationOffset = readLocationOffset(ctx);
  const chunk: UploadChunk = { source, delegate, locationOffset, length: announced };
  const header = ctx.get('Content-Range');
  if (header === '') return chunk;
  const range = parseChunkRange(header);
  if (range === undefined) {
    throw new RegistryError('BLOB_UPLOAD_INVALID', {
      message: `Content-Range "${header.slice(0, 60)}" is not of the form <start>-<end>`,
    });
  }
  const size = range.end - range.start + 1;
  if (announced !== undefined && announced !== size) {
    throw new RegistryError('SIZE_INVALID', {
      message: `Content-Range is ${size} bytes, Content-Length is ${announced}`,
    });
  }
  return { ...chunk, start: range.start, length: size };
}

/** The offset that {@link describeUpload} put into the Location to which this request was sent. */
function readLocationOffset(ctx: CoreContext): number | undefined {
  const text = queryOf(ctx).get('offset');
  if (text === null) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new RegistryError('BLOB_UPLOAD_INVALID', {
    message: `offset=${text.slice(0, 20)} is not a number of bytes; use the Location of the last answer`,
  });
}

/** The buffers for all bodies that are uploaded. */
const buffers = new PieceBuffers(uploadSizes);

async function* bodyOf(request: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* piecesOf(request, signal, buffers);
  } catch (cause) {
    throw cutShort(cause);
  }
}

/** A chunk that does not fit is answered with where the upload really is, so that the client can go on. */
async function withTrueRange<T>(
  ctx: CoreContext,
  key: UploadKey,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'RANGE_INVALID') {
      const { offset } = error.detail as { offset: number };
      describeUpload(ctx, key.repository, key.id, offset);
    }
    throw error;
  }
}

function describeUpload(
  ctx: CoreContext,
  name: RepositoryName,
  id: UploadId,
  offset: number,
): void {
  // With the offset, a chunk that is sent again to the same address is known to be the same.
  ctx.set('Location', `/v2/${name}/blobs/uploads/${id}?offset=${offset}`);
  // The last byte there is; with none, the original says 0-0 and clients rely on it.
  ctx.set('Range', `0-${Math.max(0, offset - 1)}`);
  ctx.set('Docker-Upload-UUID', id);
}

function created(ctx: CoreContext, name: RepositoryName, digest: Digest): void {
  ctx.status = 201;
  ctx.set('Location', `/v2/${name}/blobs/${digest}`);
  ctx.set('Docker-Content-Digest', digest);
}
