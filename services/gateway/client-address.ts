import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { createNetworks, plainAddress } from '#libs/values/networks.ts';

/** Which proxies in front of us are trusted. */
export interface TrustedProxies {
  /** True if what the direct peer says about the client is to be trusted. */
  trusts(request: IncomingMessage): boolean;
  /** The client's address: the last hop of X-Forwarded-For that is not one of our proxies. */
  clientAddress(request: IncomingMessage): string;
}

/**
 * @param list addresses and CIDR ranges (`portcullis.gateway.trustedproxies`)
 * @throws Error naming an entry that is neither
 */
export function createTrustedProxies(list: readonly string[]): TrustedProxies {
  const isKnown = createNetworks(list, 'portcullis.gateway.trustedproxies');
  const peerOf = (request: IncomingMessage) => plainAddress(request.socket.remoteAddress ?? '');

  return {
    trusts: (request) => isKnown(peerOf(request)),
    clientAddress(request) {
      let address = peerOf(request);
      const hops = String(request.headers['x-forwarded-for'] ?? '').split(',');
      while (isKnown(address)) {
        const next = addressIn(hops.pop()?.trim() ?? '');
        if (isIP(next) === 0) break;
        address = next;
      }
      return address;
    },
  };
}

/** The address of an entry of X-Forwarded-For, to which some proxies add a port: `192.0.2.7:5000`, `[2001:db8::1]:5000`. */
function addressIn(entry: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\](?::\d+)?|([^:]+):\d+)$/.exec(entry) ?? [];
  return plainAddress(bracketed ?? plain ?? entry);
}
