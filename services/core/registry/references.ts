import type { Descriptor } from '#libs/oci/descriptor.ts';
import type { Digest } from '#libs/oci/digest.ts';
import type { Manifest } from '#libs/oci/manifest.ts';
import { isNonDistributable } from '#libs/oci/media-types.ts';

export interface Platform {
  os: string;
  architecture: string;
}

/** Which of the things a manifest refers to must be in its repository (`validation`). */
export interface ReferenceRules {
  /** Config and layers of an image. */
  blobs: boolean;
  /** The manifests of an index: all, none, or those for some platforms. */
  children: 'all' | 'none' | readonly Platform[];
}

/** Nothing may be missing. */
export const strictReferences: ReferenceRules = { blobs: true, children: 'all' };

/** Something that a manifest refers to, and depends on. */
export interface Dependency {
  kind: 'blob' | 'manifest';
  digest: Digest;
  /** Whether the manifest is refused if this is not there. */
  required: boolean;
}

/**
 * What a manifest refers to, each once, however often it is named. Layers that may not be handed on live
 * elsewhere and are not named.
 */
export function referencesOf(manifest: Manifest, rules: ReferenceRules): Dependency[] {
  const found = new Map<Digest, Dependency>();
  for (const reference of allReferences(manifest, rules)) {
    const before = found.get(reference.digest);
    if (before === undefined) found.set(reference.digest, reference);
    else before.required ||= reference.required;
  }
  return [...found.values()];
}

function allReferences(manifest: Manifest, rules: ReferenceRules): Dependency[] {
  if (manifest.kind === 'index') {
    return manifest.manifests.map((child) => ({
      kind: 'manifest',
      digest: child.digest,
      required: isChildRequired(child, rules),
    }));
  }
  const blobs = [
    manifest.config,
    ...manifest.layers.filter(({ mediaType }) => !isNonDistributable(mediaType)),
  ];
  return blobs.map(({ digest }) => ({ kind: 'blob', digest, required: rules.blobs }));
}

function isChildRequired({ platform }: Descriptor, { children }: ReferenceRules): boolean {
  if (typeof children === 'string') return children === 'all';
  return children.some(
    ({ os, architecture }) => platform?.os === os && platform.architecture === architecture,
  );
}
