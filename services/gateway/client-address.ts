import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { createNetworks, plainAddress } from '#libs/http/networks.ts';

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
  const isKnown = createNetworks(list, 'portcullis.gateway.trustedproxies');
  const peerOf = (request: IncomingMessage) => plainAddress(request.socket.remoteAddress ?? '');

  return {
    trusts: (request) => isKnown(peerOf(request)),
    clientAddress(request) {
      let address = peerOf(request);
      const hops = String(request.headers['x-forwarded-for'] ?? '').split(',');
      while (isKnown(address)) {
        const next = plainAddress(hops.pop()?.trim() ?? '');
        if (isIP(next) === 0) break;
        address = next;
      }
      return address;
    },
  };
}
