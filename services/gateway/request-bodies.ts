import type { RouteMatch } from '#libs/api/match-route.ts';
import { hasBody } from '#libs/http/body.ts';
import { closeAfter } from '#libs/http/end-early.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { GatewayContext } from './authenticate.ts';

/** Bytes of a body where the route needs none. */
const maxOtherBody = 64 * 1024;

/**
 * Methods without a use for a body get none past us: where a client, the proxy and the upstream could
 * disagree on whether there is one, the rest of it would be read as somebody else's request.
 * @throws RegistryError REQUEST_INVALID
 */
export function assertBodyWanted(ctx: GatewayContext): void {
  const coding = ctx.get('Transfer-Encoding');
  if (coding !== '' && coding.toLowerCase() !== 'chunked') {
    closeAfter(ctx.res);
    throw new RegistryError('REQUEST_INVALID', {
      message: `the transfer coding "${coding}" is not supported; use chunked, or Content-Length`,
    });
  }
  const takesBody = ctx.method === 'POST' || ctx.method === 'PUT' || ctx.method === 'PATCH';
  if (!takesBody && hasBody(ctx.req)) {
    closeAfter(ctx.res);
    throw new RegistryError('REQUEST_INVALID', { message: `${ctx.method} takes no body here` });
  }
}

/** A client that asked first is told to send its body only when we know that we want it. */
export function continueIfAsked(ctx: GatewayContext): void {
  if (/^100-continue$/i.test(ctx.get('Expect'))) ctx.res.writeContinue();
}

/** Bytes of a body below which it costs less to send it. */
const worthWriting = 256 * 1024;

/** Whether the body of a request may be an upload from its beginning on, and large. */
export function mayBeWritten(ctx: GatewayContext): boolean {
  const { req } = ctx;
  if (!hasBody(req) || req.headers['content-range'] !== undefined) return false;
  if ((ctx.query.offset ?? '0') !== '0') return false;
  return Number(req.headers['content-length'] ?? worthWriting) >= worthWriting;
}

/** Only blobs may be large. @throws RegistryError CONTENT_TOO_LARGE */
export function assertBodyFits(ctx: GatewayContext, match: RouteMatch | undefined): void {
  const isUpload = match?.params.session !== undefined || match?.route.id === 'startUpload';
  if (isUpload) return;
  const limit = match?.route.id === 'putManifest' ? maxManifestSize : maxOtherBody;
  if (Number(ctx.get('Content-Length') || 0) <= limit) return;
  throw new RegistryError('CONTENT_TOO_LARGE', {
    message: `the request body is larger than the ${limit} bytes allowed here`,
    detail: { limit },
  });
}
