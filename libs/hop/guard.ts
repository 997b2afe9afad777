import type { IncomingMessage } from 'node:http';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { HopSigner } from './signature.ts';

/** Whether what the internal headers of a request say may be believed. */
export type HopGuard = (request: IncomingMessage) => boolean;

/** The way itself proves it: a Unix socket in a folder that only our user can enter. */
export const believeAll: HopGuard = () => true;

/** The edge, where everybody may come. */
export const believeNone: HopGuard = () => false;

/** Believes whoever shows that it knows `http.secret`; everybody else is a stranger. */
export function believeSigned(signer: HopSigner): HopGuard {
  return ({ method = '', url = '', headers }) => {
    const signature = headers[internalHeaders.signature];
    return typeof signature === 'string' && signer.verify({ method, url, headers }, signature);
  };
}
