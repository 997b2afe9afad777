import { nextPageLink, parsePage } from '#libs/http/pagination.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { Referrer } from '../registry/referrers.ts';
import type { Registry } from '../registry/registry.ts';
import type { Handler } from './handler.ts';

/** Bytes of an index without its entries. */
const envelope = 100;

const indexType = 'application/vnd.oci.image.index.v1+json';

/** GET of what is about a manifest, as an image index (distribution-spec, "Listing Referrers"). */
export function listReferrers({ referrers }: Registry, pageSize: number): Handler {
  return async (ctx, { name, digest }) => {
    const query = new URLSearchParams(ctx.querystring);
    const page = parsePage(query, pageSize);
    const artifactType = query.get('artifactType');
    const all = await referrers.list(name, digest);
    const wanted = all.filter(
      (one) =>
        one.digest > page.last && (artifactType === null || one.artifactType === artifactType),
    );
    const manifests = firstOf(wanted, page.limit);
    const last = manifests.at(-1)?.digest;
    if (wanted.length > manifests.length && last !== undefined) {
      const filter = artifactType === null ? '' : encodeURIComponent(artifactType);
      const link = nextPageLink(`/v2/${name}/referrers/${digest}`, page, last);
      ctx.set('Link', filter === '' ? link : link.replace('?', `?artifactType=${filter}&`));
    }
    if (artifactType !== null) ctx.set('OCI-Filters-Applied', 'artifactType');
    ctx.body = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests });
    ctx.set('Content-Type', indexType);
  };
}

/** As many as a page may have and a manifest may be large, but at least one. */
function firstOf(referrers: readonly Referrer[], limit: number): Referrer[] {
  let bytes = envelope;
  const end = referrers.findIndex((one, index) => {
    bytes += Buffer.byteLength(JSON.stringify(one)) + 1;
    return index >= limit || (index > 0 && bytes > maxManifestSize);
  });
  return end === -1 ? [...referrers] : referrers.slice(0, end);
}
