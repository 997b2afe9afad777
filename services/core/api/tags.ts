import { whileClientWaits } from '#libs/http/client-gone.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Registry } from '../registry/registry.ts';
import type { Handler } from './handler.ts';
import { nextPageLink, parsePage } from './pagination.ts';

/** GET of the tags of a repository (distribution-spec, "Listing Tags"). */
export function listTags(
  { tags, hasRepository }: Registry,
  pageSize: number,
  budgets: Pick<CoreBudgets, 'listings'>,
): Handler {
  return async (ctx, { name }) => {
    const page = parsePage(new URLSearchParams(ctx.querystring), pageSize);
    const signal = whileClientWaits(ctx.res);
    const { client, subject } = ctx.state.caller;
    using _turn = await budgets.listings.take(partiesOf(client, subject), 1, { signal });
    const found = await tags.list(name, page, { signal });
    if (found.tags.length === 0 && !(await hasRepository(name))) {
      throw new RegistryError('NAME_UNKNOWN', { detail: { name } });
    }
    const last = found.tags.at(-1);
    if (found.more && last !== undefined) {
      ctx.set('Link', nextPageLink(`/v2/${name}/tags/list`, page, last));
    }
    ctx.body = { name, tags: found.tags };
  };
}
