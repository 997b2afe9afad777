import { disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Registry } from '../registry/registry.ts';
import type { Handler } from './handler.ts';
import { smallManifest } from './manifests.ts';
import { nextPageLink, parsePage } from './pagination.ts';

/** Bytes of an index without its entries. */
const envelope = 100;

/** Characters of a media type (RFC 6838, section 4.2: 127 for each of its two names). */
const longestType = 255;

const indexType = 'application/vnd.oci.image.index.v1+json';

/**
 * GET of what is about a manifest, as an image index (distribution-spec, "Listing Referrers"). A page is no
 * larger than a manifest may be, and may have fewer entries than it could, or none, and a link to go on.
 */
export function listReferrers(
  { referrers }: Registry,
  pageSize: number,
  budgets: Pick<CoreBudgets, 'listings' | 'downloads'>,
): Handler {
  return async (ctx, { name, digest }) => {
    const query = new URLSearchParams(ctx.querystring);
    const page = parsePage(query, pageSize);
    const artifactType = query.get('artifactType') ?? undefined;
    if (artifactType !== undefined && artifactType.length > longestType) {
      throw new RegistryError('REQUEST_INVALID', {
        message: `artifactType has ${artifactType.length} characters; a media type has ${longestType} at most`,
      });
    }
    const signal = whileClientWaits(ctx.res);
    const { client, subject } = ctx.state.caller;
    const parties = partiesOf(client, subject);
    const waitUntil = performance.now() + budgets.listings.maxWait;
    using _turn = await budgets.listings.take(parties, 1, { signal });
    const maxBytes = maxManifestSize - envelope;
    const wanted = { after: page.last, limit: page.limit, maxBytes, artifactType };
    const found = await referrers.list(name, digest, wanted, ctx.state.requester);
    if (found.next !== undefined) {
      const filter = artifactType === undefined ? '' : encodeURIComponent(artifactType);
      const link = nextPageLink(`/v2/${name}/referrers/${digest}`, page, found.next);
      ctx.set('Link', filter === '' ? link : link.replace('?', `?artifactType=${filter}&`));
    }
    if (artifactType !== undefined) ctx.set('OCI-Filters-Applied', 'artifactType');
    const body = `{"schemaVersion":2,"mediaType":"${indexType}","manifests":[${found.descriptors.join(',')}]}`;
    // Held whole until the client has it, as a manifest is.
    if (body.length > smallManifest) {
      // Both waits together are within what a gateway waits for an answer.
      const maxWait = waitUntil - performance.now();
      const lease = await budgets.downloads.take(parties, body.length, { signal, maxWait });
      disposeWithAnswer(ctx.res, lease);
    }
    ctx.body = body;
    ctx.set('Content-Type', indexType);
  };
}
