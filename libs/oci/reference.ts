import { clip, type Digest, isDigest, parseDigest } from './digest.ts';
import { RegistryError } from './errors.ts';

/** A repository's full name, such as `team/app`; made by {@link parseRepositoryName} only. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };

/** A tag, such as `v1.2`; made by {@link parseTag} only. */
export type Tag = string & { readonly __brand: 'Tag' };

/** What stands after `/manifests/`: a tag or a digest (distribution-spec, "Definitions"). */
export type Reference = { kind: 'tag'; tag: Tag } | { kind: 'digest'; digest: Digest };

/** One part of a repository name between slashes (distribution-spec, "Pulling manifests"). */
const pathPart = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryPattern = new RegExp(`^${pathPart}(?:/${pathPart})*$`);
const pathPartPattern = new RegExp(`^${pathPart}$`);
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Longest repository name; the original registry's limit, so that trees stay interchangeable. */
export const maxRepositoryNameLength = 255;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= maxRepositoryNameLength && repositoryPattern.test(text);
}

/** True for text that may stand between two slashes of a repository name. */
export function isPathPart(text: string): boolean {
  return text.length <= maxRepositoryNameLength && pathPartPattern.test(text);
}

export function isTag(text: string): text is Tag {
  return tagPattern.test(text);
}

/** @throws RegistryError NAME_INVALID */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  const why =
    text.length > maxRepositoryNameLength
      ? `is longer than ${maxRepositoryNameLength} characters`
      : 'must be lower-case letters and digits, with single . _ or - inside parts, and / between them';
  throw new RegistryError('NAME_INVALID', {
    message: `invalid repository name: "${clip(text)}" ${why}`,
  });
}

/** @throws RegistryError TAG_INVALID */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text;
  throw new RegistryError('TAG_INVALID', {
    message: `"${clip(text)}" is not a tag: letters, digits, _ . and -, at most 128, not starting with . or -`,
  });
}

/**
 * Reads a manifest reference. Text with a colon can only be meant as a digest.
 * @throws RegistryError DIGEST_INVALID, TAG_INVALID
 */
export function parseReference(text: string): Reference {
  if (isDigest(text)) return { kind: 'digest', digest: text };
  if (text.includes(':')) return { kind: 'digest', digest: parseDigest(text) };
  return { kind: 'tag', tag: parseTag(text) };
}

/** The reference as it was written. */
export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
