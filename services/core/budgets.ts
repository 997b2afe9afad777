import type { CoreLimits } from '#libs/config/sections/core.ts';
import { type Budget, createBudget } from '#libs/limits/budget.ts';

/** What a core shares out among those who ask; each is the requests' own, for as long as they are served. */
export interface CoreBudgets {
  /** Bytes of manifests that are taken, and what is made of them meanwhile. */
  manifests: Budget;
  /** Bytes of memory for blobs that are read. */
  downloads: Budget;
  /** Listings that are made. */
  listings: Budget;
}

/** Milliseconds that a request waits for its share before it is refused. */
const maxWait = 10_000;

export function createCoreBudgets(
  limits: Pick<CoreLimits, 'manifests' | 'downloads' | 'listings'>,
): CoreBudgets {
  const budget = (name: keyof CoreBudgets, message: string) =>
    createBudget({ name, capacity: limits[name], maxWait, message });
  return {
    manifests: budget('manifests', 'too many manifests are pushed at once'),
    downloads: budget('downloads', 'too many blobs are pulled at once'),
    listings: budget('listings', 'too many lists are asked for at once'),
  };
}
