import { covers } from '#libs/access/scope.ts';
import { fullCatalog } from '#libs/api/required-access.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Walk } from '../registry/catalog.ts';
import type { Registry } from '../registry/registry.ts';
import type { Cursors } from './cursor.ts';
import type { Caller, Handler } from './handler.ts';
import { nextPageLink, type Page, parsePage } from './pagination.ts';
import type { PullFilter } from './pull-filter.ts';

/** How many names are asked about at once. */
const batchSize = 1000;

/** Folders that one request looks at, for each name of the largest page, and at least; `n` does not change it. */
const looks = { perName: 2, atLeast: 2000 };

/** Names where a page stopped that is not full; only a core can read it. */
const placeKey = 'place';

export interface CatalogOptions {
  registry: Registry;
  /** Undefined in an open registry: everyone sees everything. */
  filter: PullFilter | undefined;
  pageSize: number;
  budgets: Pick<CoreBudgets, 'listings'>;
  cursors: Cursors;
}

/**
 * GET of the repositories that the caller may pull, in byte order. One request does a bounded work: a caller
 * who may see little of much gets pages that are not full, and a link to go on from where each stopped.
 */
export function listCatalog(options: CatalogOptions): Handler {
  const { registry, filter, pageSize, budgets, cursors } = options;
  return async (ctx) => {
    const query = new URLSearchParams(ctx.querystring);
    const page = parsePage(query, pageSize);
    const signal = whileClientWaits(ctx.res);
    const { caller } = ctx.state;
    const parties = partiesOf(caller.client, caller.subject);
    using _turn = await budgets.listings.take(parties, 1, { signal });
    const visible = visibleTo(caller, filter, signal);
    const place = cursors.open(query.get(placeKey) ?? '');
    const start = () => (seesAll(caller) ? page.last : startOf(registry, page.last, visible));
    const from = place ?? (await start());
    const walk: Walk = {
      left: Math.max(looks.atLeast, pageSize * looks.perName),
      place: from,
      cut: false,
      signal,
    };
    const found = await collect({ registry, walk, from, page, visible });
    const names = found.slice(0, page.limit);
    const last = names.at(-1);
    if (found.length > page.limit && last !== undefined) {
      ctx.set('Link', nextPageLink('/v2/_catalog', page, last));
    } else if (walk.cut) {
      const link = nextPageLink('/v2/_catalog', page, last ?? page.last);
      ctx.set('Link', link.replace('>', `&${placeKey}=${cursors.seal(walk.place)}>`));
    }
    ctx.body = { repositories: names };
  };
}

type Visible = (names: RepositoryName[]) => Promise<RepositoryName[]>;

function seesAll({ granted }: Caller): boolean {
  return granted === undefined || covers(granted, fullCatalog);
}

function visibleTo(caller: Caller, filter: PullFilter | undefined, signal: AbortSignal): Visible {
  if (seesAll(caller)) return async (names) => names;
  // Nobody can be asked what another server would grant.
  if (filter === undefined) return async () => [];
  return async (names) => {
    const allowed = await filter.mayPull(caller, names, signal);
    return names.filter((_, index) => allowed[index] === true);
  };
}

/**
 * Where a walk for a page begins: at the client's last name if it is a repository that the client sees, else at
 * the beginning. A walk may be cut, and whether it is tells of the folders behind its beginning: whoever could
 * choose that freely would find the names that are hidden, letter by letter.
 */
async function startOf(registry: Registry, last: string, visible: Visible): Promise<string> {
  if (!isRepositoryName(last) || (await visible([last])).length === 0) return '';
  return (await registry.hasRepository(last)) ? last : '';
}

interface Search {
  registry: Registry;
  walk: Walk;
  /** The walk begins behind it; not behind the last name of the client's. */
  from: string;
  page: Page;
  visible: Visible;
}

/**
 * Walks until one more than the page is found, since whether there is more must not be guessed, or is cut. What
 * stands before the client's last name is asked about like all else and dropped then: neither what is asked nor how
 * long that takes tells where a hidden name stands.
 */
async function collect({ registry, walk, from, page, visible }: Search): Promise<RepositoryName[]> {
  const found: RepositoryName[] = [];
  if (page.limit === 0) return found;
  let batch: RepositoryName[] = [];
  let size = Math.min(batchSize, page.limit + 1);
  const take = async () => {
    found.push(...(await visible(batch)).filter((name) => name > page.last));
    batch = [];
  };
  for await (const name of registry.repositories(from, walk)) {
    batch.push(name);
    if (batch.length < size) continue;
    await take();
    if (found.length > page.limit) break;
    // Who may see little is not asked about little by little.
    size = Math.min(batchSize, size * 2);
  }
  if (batch.length > 0) await take();
  return found;
}
