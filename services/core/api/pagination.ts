import { RegistryError } from '#libs/oci/errors.ts';

/** What a list request asks for. */
export interface Page {
  /** How many entries at most. */
  limit: number;
  /** The last entry the client has; empty for the first page. */
  last: string;
}

/** Characters of the longest name that anything has that is listed, and more. */
const longestName = 512;

/**
 * Reads `n` and `last` of a list request.
 * @param max the largest page we give; also the page when `n` is absent
 * @throws RegistryError PAGINATION_NUMBER_INVALID for an `n` that is no whole number from 0 on; REQUEST_INVALID for a `last`
 *   that is longer than any name
 */
export function parsePage(query: URLSearchParams, max: number): Page {
  const n = query.get('n');
  const last = query.get('last') ?? '';
  if (last.length > longestName) {
    throw new RegistryError('REQUEST_INVALID', {
      message: `last has ${last.length} characters, and no name has more than ${longestName}`,
    });
  }
  if (n === null || n === '') return { limit: max, last };
  if (!/^\d{1,15}$/.test(n)) {
    throw new RegistryError('PAGINATION_NUMBER_INVALID', {
      message: `n must be a whole number, not "${n.slice(0, 20)}"`,
      detail: { n: n.slice(0, 20) },
    });
  }
  return { limit: Math.min(Number(n), max), last };
}

/** The Link header to the page after `last` (RFC 8288), relative so that any proxy in front is right. */
export function nextPageLink(path: string, { limit }: Page, last: string): string {
  return `<${path}?n=${limit}&last=${encodeURIComponent(last)}>; rel="next"`;
}
