import type { Digest } from '#libs/oci/digest.ts';
import type { CoreContext } from './handler.ts';

/** Sets the headers of content that is known by its digest. */
export function describeContent(ctx: CoreContext, digest: Digest): void {
  ctx.set('Docker-Content-Digest', digest);
  ctx.set('ETag', `"${digest}"`);
}

/** Answers 304 if the client has this very content (RFC 9110 section 13.1.2). */
export function isNotModified(ctx: CoreContext, digest: Digest): boolean {
  const known = ctx
    .get('If-None-Match')
    .split(',')
    .map((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', ''));
  if (!known.includes(digest) && !known.includes('*')) return false;
  ctx.status = 304;
  return true;
}
