import { fullCatalog } from '#libs/api/required-access.ts';
import { covers } from '#libs/auth/scope.ts';
import { nextPageLink, type Page, parsePage } from '#libs/http/pagination.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { Registry } from '../registry/registry.ts';
import type { Caller, Handler } from './handler.ts';
import type { PullFilter } from './pull-filter.ts';

/** How many names are asked about at once. */
const batchSize = 1000;

/** GET of the repositories that the caller may pull, in byte order. */
export function listCatalog(
  registry: Registry,
  filter: PullFilter | undefined,
  pageSize: number,
): Handler {
  return async (ctx) => {
    const page = parsePage(new URLSearchParams(ctx.querystring), pageSize);
    const { names, more } = await collect(registry, page, visibleTo(ctx.state.caller, filter));
    const last = names.at(-1);
    if (more && last !== undefined) ctx.set('Link', nextPageLink('/v2/_catalog', page, last));
    ctx.body = { repositories: names };
  };
}

type Visible = (names: RepositoryName[]) => Promise<RepositoryName[]>;

function visibleTo(caller: Caller, filter: PullFilter | undefined): Visible {
  const { granted } = caller;
  if (granted === undefined || covers(granted, fullCatalog)) return async (names) => names;
  // Nobody can be asked what another server would grant.
  if (filter === undefined) return async () => [];
  return async (names) => {
    const allowed = await filter.mayPull(caller, names);
    return names.filter((_, index) => allowed[index] === true);
  };
}

/** Walks until one more than the page is found; whether there is more must not be guessed. */
async function collect(
  registry: Registry,
  { last, limit }: Page,
  visible: Visible,
): Promise<{ names: RepositoryName[]; more: boolean }> {
  if (limit === 0) return { names: [], more: false };
  const found: RepositoryName[] = [];
  let batch: RepositoryName[] = [];
  let size = Math.min(batchSize, limit + 1);
  for await (const name of registry.repositories(last)) {
    batch.push(name);
    if (batch.length < size) continue;
    found.push(...(await visible(batch)));
    batch = [];
    if (found.length > limit) break;
    // Who may see little is not asked about little by little.
    size = Math.min(batchSize, size * 2);
  }
  if (batch.length > 0) found.push(...(await visible(batch)));
  return { names: found.slice(0, limit), more: found.length > limit };
}
