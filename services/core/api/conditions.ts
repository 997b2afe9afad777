import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { assertCondition, type Condition } from '../registry/condition.ts';
import type { CoreContext } from './handler.ts';

/** Sets the headers of content that is known by its digest. */
export function describeContent(ctx: CoreContext, digest: Digest): void {
  ctx.set('Docker-Content-Digest', digest);
  ctx.set('ETag', `"${digest}"`);
}

/**
 * Judges the conditions of a read (RFC 9110 section 13.2.2): `If-Match`, then `If-None-Match`.
 * @returns true if the client has this very content, and 304 is set
 * @throws RegistryError PRECONDITION_FAILED
 */
export function isNotModified(ctx: CoreContext, digest: Digest): boolean {
  const wanted = ctx.get('If-Match');
  if (wanted !== '') assertCondition(matching(wanted), digest, 'the content');
  const known = entityTags(ctx.get('If-None-Match'));
  if (!known.includes(digest) && !known.includes('*')) return false;
  ctx.status = 304;
  return true;
}

/**
 * Whether a range may be sent (RFC 9110 section 13.1.5): the client must have a part of this very
 * content. A date never matches; content here is known by its digest alone.
 */
export function rangeApplies(ctx: CoreContext, digest: Digest): boolean {
  const condition = ctx.get('If-Range').trim();
  return condition === '' || condition === `"${digest}"`;
}

/**
 * What a write depends on: `If-Match`, or `If-None-Match: *`.
 * @throws RegistryError REQUEST_INVALID for a condition that makes no sense on a write
 */
export function writeCondition(ctx: CoreContext): Condition | undefined {
  const wanted = ctx.get('If-Match');
  const unwanted = ctx.get('If-None-Match').trim();
  if (wanted !== '' && unwanted !== '') refuse('If-Match and If-None-Match exclude each other');
  if (wanted !== '') return matching(wanted);
  if (unwanted === '') return undefined;
  if (unwanted !== '*') refuse('only "If-None-Match: *" makes sense here');
  return { kind: 'absent' };
}

function matching(header: string): Condition {
  if (header.trim() === '*') return { kind: 'present' };
  const digests = entityTags(header, 'strong');
  if (digests.length === 0) refuse('If-Match needs "<digest>" in quotes, or *');
  return { kind: 'one-of', digests };
}

/** The tags of a list, without their quotes; weak ones only where they count. */
function entityTags(header: string, comparison: 'strong' | 'weak' = 'weak'): string[] {
  return header
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '' && (comparison === 'weak' || !tag.startsWith('W/')))
    .map((tag) => tag.replace(/^W\//, '').replaceAll('"', ''));
}

function refuse(message: string): never {
  throw new RegistryError('REQUEST_INVALID', { message });
}
