import type { IncomingMessage } from 'node:http';

/** Whether the internal headers of a request are to be trusted. */
export type PeerCheck = (request: IncomingMessage) => boolean;

/** The way itself proves it: a Unix socket in a folder that only our user can enter. */
export const trustAnyPeer: PeerCheck = () => true;

/** The edge, where everybody may come. */
export const trustNoPeer: PeerCheck = () => false;
