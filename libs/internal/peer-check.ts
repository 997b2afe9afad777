import type { IncomingMessage } from 'node:http';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { RequestSigner } from './signature.ts';

/** Whether the internal headers of a request are to be trusted. */
export type PeerCheck = (request: IncomingMessage) => boolean;

/** The way itself proves it: a Unix socket in a folder that only our user can enter. */
export const trustAnyPeer: PeerCheck = () => true;

/** The edge, where everybody may come. */
export const trustNoPeer: PeerCheck = () => false;

/** Trusts requests that are signed with `http.secret`. */
export function trustSignedRequests(signer: RequestSigner): PeerCheck {
  return ({ method = '', url = '', headers }) => {
    const signature = headers[internalHeaders.signature];
    return typeof signature === 'string' && signer.verify({ method, url, headers }, signature);
  };
}
