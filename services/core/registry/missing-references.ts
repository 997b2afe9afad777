import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Manifest } from '#libs/oci/manifest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { inParallel } from './in-parallel.ts';
import { type Dependency, type ReferenceRules, referencesOf } from './references.ts';

/** References of one manifest that are looked for at once: others want the storage too. */
const checkedAtOnce = 8;
/** Missing references that the client is told of, and after which no further one is looked for. */
const maxMissing = 100;

interface Options {
  rules: ReferenceRules;
  /** Whether the repository has what is referred to. */
  isThere: (reference: Dependency) => Promise<boolean>;
  signal: AbortSignal | undefined;
}

/**
 * Looks whether a repository has what a manifest refers to.
 * @returns what is missing and may be, in the manifest's own order
 * @throws RegistryError MANIFEST_BLOB_UNKNOWN if anything else is missing
 */
export async function assertReferences(
  repository: RepositoryName,
  manifest: Manifest,
  { rules, isThere, signal }: Options,
): Promise<Digest[]> {
  const references = referencesOf(manifest, rules);
  const missing = new Set<Digest>();
  let lacking = 0;
  await inParallel(references, { atOnce: checkedAtOnce, signal }, async (reference) => {
    if (!(await isThere(reference))) {
      missing.add(reference.digest);
      if (reference.required) lacking += 1;
    }
    return lacking < maxMissing;
  });
  const absent = references.filter(({ digest }) => missing.has(digest));
  const required = absent.filter((one) => one.required).map(({ digest }) => digest);
  if (required.length === 0) return absent.map(({ digest }) => digest);
  const what = manifest.kind === 'index' ? 'manifests' : 'blobs';
  throw new RegistryError('MANIFEST_BLOB_UNKNOWN', {
    message: `the manifest refers to ${what} that ${repository} does not have: ${required.slice(0, 3).join(', ')}${required.length > 3 ? ', …' : ''}`,
    detail: { missing: required.slice(0, maxMissing) },
  });
}
