import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { parseInTurn } from '#libs/limits/in-turn.ts';
import type { Descriptor } from '#libs/oci/descriptor.ts';
import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type Manifest, parseManifest } from '#libs/oci/manifest.ts';
import { formatReference, type Reference, type RepositoryName } from '#libs/oci/reference.ts';
import type { ManifestReader, ReadOptions, StoredManifest } from '../registry/manifest-reader.ts';
import type { CoreContext } from './handler.ts';
import { warn } from './warnings.ts';

/**
 * Whether an Accept header takes a type (RFC 9110 section 12.5.1). No header takes everything, and so
 * does a wildcard; `q=0` takes nothing, and the most specific range counts.
 */
export function accepts(header: string, mediaType: string): boolean {
  if (header.trim() === '') return true;
  const [type = ''] = mediaType.split('/', 1);
  // From the least specific to the most.
  const matching = ['*/*', `${type}/*`, mediaType];
  let [closest, isTaken] = [-1, false];
  for (const entry of header.split(',')) {
    const [range = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    const isRefused = parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
    const match = matching.indexOf(range);
    if (match < closest || match < 0) continue;
    isTaken = !isRefused || (match === closest && isTaken);
    closest = match;
  }
  return isTaken;
}

/**
 * What a client that reads only some types gets, as the original registry has it: instead of a list
 * or index that it asked for by tag and cannot read, the image for linux/amd64 in it; Docker types as
 * they are; no OCI type that it does not accept.
 * @throws RegistryError MANIFEST_UNKNOWN if there is nothing that it can read
 */
export async function negotiate(
  ctx: CoreContext,
  manifests: Pick<ManifestReader, 'get'>,
  repository: RepositoryName,
  reference: Reference,
  reading: Pick<ReadOptions, 'beforeRead' | 'files'>,
): Promise<StoredManifest> {
  const accept = ctx.get('Accept');
  const options = { ...ctx.state.requester, ...reading };
  const stored = await manifests.get(repository, reference, options);
  ctx.vary('Accept');
  if (accepts(accept, stored.mediaType)) return stored;
  const child = reference.kind === 'tag' ? await imageForAmd64(stored, ctx) : undefined;
  if (child !== undefined && accepts(accept, child.mediaType)) {
    warn(ctx, `${formatReference(reference)} is a list; this is its image for linux/amd64`);
    const wanted = { kind: 'digest', digest: child.digest } as const;
    return await manifests.get(repository, wanted, options);
  }
  const isOci = stored.mediaType.startsWith('application/vnd.oci.');
  if (!isOci && (child === undefined || reference.kind === 'digest')) return stored;
  throw new RegistryError('MANIFEST_UNKNOWN', {
    message: `${repository} has ${formatReference(reference)} as ${stored.mediaType}, which the request does not accept; use a client that reads it, or send Accept`,
    detail: { name: repository, mediaType: stored.mediaType },
  });
}

/** What was found for linux/amd64 in an index, which never changes. */
const found = new LRUCache<Digest, { child: Pick<Descriptor, 'digest' | 'mediaType'> | undefined }>(
  atMost(20_000),
);

async function imageForAmd64(stored: StoredManifest, { state }: CoreContext) {
  const known = found.get(stored.digest);
  if (known !== undefined) return known.child;
  const child = await parseInTurn(stored.bytes, () => findImageForAmd64(stored), state.requester);
  const { digest, mediaType } = child ?? {};
  const kept = digest === undefined || mediaType === undefined ? undefined : { digest, mediaType };
  found.set(stored.digest, { child: kept });
  return kept;
}

function findImageForAmd64(stored: StoredManifest) {
  let manifest: Manifest;
  try {
    manifest = parseManifest(stored.bytes, stored.mediaType);
  } catch {
    return undefined;
  }
  if (manifest.kind !== 'index') return undefined;
  return manifest.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
}
