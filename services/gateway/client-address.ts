import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Which proxies in front of us are believed. */
export interface TrustedProxies {
  /** True if what the direct peer says about the client may be believed. */
  trusts(request: IncomingMessage): boolean;
  /** The client's address: the last hop of X-Forwarded-For that is not one of our proxies. */
  clientAddress(request: IncomingMessage): string;
}

/**
 * @param list addresses and CIDR ranges (`portcullis.gateway.trustedproxies`)
 * @throws Error naming an entry that is neither
 */
export function createTrustedProxies(list: readonly string[]): TrustedProxies {
  const known = new BlockList();
  for (const entry of list) addEntry(known, entry);

  const isKnown = (address: string) => {
    const family = isIP(address);
    return family !== 0 && known.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
  const peerOf = (request: IncomingMessage) => plain(request.socket.remoteAddress ?? '');

  return {
    trusts: (request) => isKnown(peerOf(request)),
    clientAddress(request) {
      let address = peerOf(request);
      const hops = String(request.headers['x-forwarded-for'] ?? '').split(',');
      while (isKnown(address)) {
        const next = plain(hops.pop()?.trim() ?? '');
        if (isIP(next) === 0) break;
        address = next;
      }
      return address;
    },
  };
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/');
  const family = isIP(address);
  const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
  if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32)) {
    throw new Error(
      `portcullis.gateway.trustedproxies: "${entry}" is neither an address nor a range such as 10.0.0.0/8`,
    );
  }
  list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
}

/** An IPv4 address that came over an IPv6 socket, as itself. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}
