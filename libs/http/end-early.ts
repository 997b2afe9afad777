import type { IncomingMessage, ServerResponse } from 'node:http';
import { hasBody } from './body.ts';
import { Http2Response } from './http2-messages.ts';

/** How much of an unwanted body is read before the connection goes. */
export interface DrainLimits {
  bytes: number;
  /** Milliseconds. */
  time: number;
}

/** For clients, whom we do not trust to stop. */
export const clientDrain: DrainLimits = { bytes: 256 * 1024, time: 1000 };

/** For our own gateway, which hangs up as soon as it has the answer. */
export const gatewayDrain: DrainLimits = { bytes: Infinity, time: 30_000 };

/** True while a request's body has not been received whole. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  return !request.complete && hasBody(request);
}

/** To be called before the headers are sent: this connection will serve no other request. */
export function closeAfter(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  response.setHeader('Connection', 'close');
}

/**
 * Ends a response whose request body was not wanted. Left alone, Node would swallow the whole body;
 * closing at once would reset the connection under a client that is still writing, and the answer
 * would be lost. So a little is read and thrown away, and then the connection is closed. HTTP/2 can
 * tell the client to stop, and needs none of that.
 * The response must announce its length, and all of it but the end must be written.
 */
export async function endEarly(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, time }: DrainLimits,
): Promise<void> {
  if (response instanceof Http2Response) {
    response.endEarly();
    return;
  }
  // Of a request that is gone nothing more comes, not even an event.
  const gone = request.destroyed || request.closed || request.complete;
  await new Promise<void>((resolve) => {
    if (gone) return resolve();
    let seen = 0;
    const timer = setTimeout(resolve, time);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    request.on('data', (chunk: Buffer) => {
      seen += chunk.length;
      if (seen > bytes) done();
    });
    request.on('end', done);
    request.on('close', done);
    request.on('error', done);
    request.resume();
  });
  request.pause();
  response.end();
  if (!request.complete) response.once('finish', () => request.socket.destroySoon());
}
