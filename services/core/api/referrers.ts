import { whileClientWaits } from '#libs/http/client-gone.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Registry } from '../registry/registry.ts';
import type { Handler } from './handler.ts';
import { nextPageLink, parsePage } from './pagination.ts';

/** Bytes of an index without its entries. */
const envelope = 100;

const indexType = 'application/vnd.oci.image.index.v1+json';

/**
 * GET of what is about a manifest, as an image index (distribution-spec, "Listing Referrers"). A page is no
 * larger than a manifest may be, and may have fewer entries than it could, or none, and a link to go on.
 */
export function listReferrers(
  { referrers }: Registry,
  pageSize: number,
  budgets: Pick<CoreBudgets, 'listings'>,
): Handler {
  return async (ctx, { name, digest }) => {
    const query = new URLSearchParams(ctx.querystring);
    const page = parsePage(query, pageSize);
    const artifactType = query.get('artifactType') ?? undefined;
    const signal = whileClientWaits(ctx.res);
    const { client, subject } = ctx.state.caller;
    using _turn = await budgets.listings.take(partiesOf(client, subject), 1, { signal });
    const maxBytes = maxManifestSize - envelope;
    const wanted = { after: page.last, limit: page.limit, maxBytes, artifactType };
    const found = await referrers.list(name, digest, wanted, { signal });
    if (found.next !== undefined) {
      const filter = artifactType === undefined ? '' : encodeURIComponent(artifactType);
      const link = nextPageLink(`/v2/${name}/referrers/${digest}`, page, found.next);
      ctx.set('Link', filter === '' ? link : link.replace('?', `?artifactType=${filter}&`));
    }
    if (artifactType !== undefined) ctx.set('OCI-Filters-Applied', 'artifactType');
    const { referrers: manifests } = found;
    ctx.body = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests });
    ctx.set('Content-Type', indexType);
  };
}
