import { isIPv6 } from 'node:net';
import { plainAddress } from './networks.ts';

/**
 * The networks that an address counts for, the narrowest first: of IPv4 the address itself; of IPv6 its /64, /56 and
 * /48, because one customer has a whole /64 at least and may have as much as a /48.
 * @returns texts such as `192.0.2.7` or `2001:db8:0:1/64`; what is no address stands for itself
 */
export function networksOf(client: string): [string, ...string[]] {
  const address = plainAddress(client.replace(/%.*$/, ''));
  if (!isIPv6(address)) return [address];
  const groups = expand(address);
  const embedded = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (embedded) {
    const [high = 0, low = 0] = groups.slice(6);
    return [[high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')];
  }
  const [a = 0, b = 0, c = 0, d = 0] = groups;
  const text = (...parts: number[]) => parts.map((part) => part.toString(16)).join(':');
  return [`${text(a, b, c, d)}/64`, `${text(a, b, c, d & 0xff00)}/56`, `${text(a, b, c)}/48`];
}

/** The eight groups of an IPv6 address. */
function expand(address: string): number[] {
  // The URL standard has the one canonical form, also of addresses with an IPv4 part.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail = ''] = canonical.split('::');
  const [before, after] = [head, tail].map((part) => part.split(':').filter(Boolean));
  const known = (before?.length ?? 0) + (after?.length ?? 0);
  const zeros = Array.from({ length: canonical.includes('::') ? 8 - known : 0 }, () => '0');
  return [...(before ?? []), ...zeros, ...(after ?? [])].map((group) => Number.parseInt(group, 16));
}
