import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { PieceBuffers } from '#libs/bodies/piece-buffers.ts';
import { hasAllCome, hasBody } from '#libs/http/body.ts';
import { BatchWriter } from './batch-writer.ts';

/** Milliseconds for a connection to one of our own. */
const connectTimeout = 2000;

/** The body of a request, on its way to an upstream. */
export interface SentBody {
  /** The upstream is reached: sends it the body, or what stands for it. */
  send(outgoing: ClientRequest): void;
  /** Whether the upstream is to do something, before more of the body is wanted. */
  isUpstreamBehind(): boolean;
  /** The client has left: ends the request to the upstream. Resolves when that is over. */
  clientLeft(outgoing: ClientRequest): Promise<void>;
  /** The upstream has answered before all of it came: what comes is not its any more. */
  unsend(): void;
}

/**
 * The body of a request, of which nothing is taken before the upstream is reached: until then another
 * upstream can still have all of it.
 * @param onSending called when the upstream may see something of the request
 */
export function sendBody(
  request: IncomingMessage,
  buffers: PieceBuffers,
  onSending: () => void,
): SentBody {
  // One that came at once is complete already, and has not been read all the same.
  const isToCome = hasBody(request);
  let writer: BatchWriter | undefined;
  return {
    send(outgoing) {
      onSending();
      if (isToCome) writer = pipeBody(request, outgoing, buffers);
      else outgoing.end();
    },
    isUpstreamBehind: () => writer?.isBehind === true,
    clientLeft: async (outgoing) => void outgoing.destroy(),
    unsend: () => request.unpipe(),
  };
}

/** Sends a body as it comes, and ends with it. */
export function pipeBody(
  request: IncomingMessage,
  outgoing: ClientRequest,
  buffers: PieceBuffers,
): BatchWriter {
  const writer = new BatchWriter(request, outgoing, buffers);
  writer.once('finish', () => {
    // What breaks off must not go on as if it were whole.
    if (hasAllCome(request)) outgoing.end();
    else outgoing.destroy();
  });
  return request.pipe(writer);
}

/** Sends a body when the upstream is reached, which has 2 s to accept the connection. */
export function sendOnceConnected(body: SentBody, outgoing: ClientRequest): void {
  const timer = setTimeout(() => {
    outgoing.destroy(new Error('it does not accept the connection'));
  }, connectTimeout);
  const onConnected = () => {
    clearTimeout(timer);
    if (!outgoing.destroyed) body.send(outgoing);
  };
  outgoing.once('close', () => clearTimeout(timer));
  outgoing.once('socket', (socket: Socket) => {
    const { secureConnecting = false } = socket as Partial<TLSSocket> &
      Socket & { secureConnecting?: boolean };
    if (!socket.connecting && !secureConnecting) onConnected();
    else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', onConnected);
  });
}
