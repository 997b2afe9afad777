import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Stream } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { hasBody } from '#libs/http/body.ts';
import { type BatchBuffers, BatchWriter } from './batch-writer.ts';

/** Milliseconds for a connection to one of our own. */
const connectTimeout = 2000;

/** The body of a request, on its way to an upstream. */
export interface SentBody {
  /** In the shape that http-proxy pipes from. */
  stream: Stream;
  /** Whether the upstream is to take something, before more of the body is. */
  isUpstreamBehind(): boolean;
}

/**
 * The body of a request, of which nothing is taken before the upstream is reached: until then another
 * upstream can still have all of it.
 * @param onSending called when the upstream may see something of the request
 */
export function sendBody(
  request: IncomingMessage,
  buffers: BatchBuffers,
  onSending: () => void,
): SentBody {
  // One that came at once is complete already, and has not been read all the same.
  const isToCome = hasBody(request);
  let writer: BatchWriter | undefined;
  const pipe = (outgoing: ClientRequest) => {
    const timer = setTimeout(() => {
      outgoing.destroy(new Error('it does not accept the connection'));
    }, connectTimeout);
    const start = () => {
      clearTimeout(timer);
      if (outgoing.destroyed) return;
      onSending();
      if (!isToCome) {
        outgoing.end();
        return;
      }
      writer = new BatchWriter(outgoing, buffers);
      writer.once('finish', () => outgoing.end());
      request.pipe(writer);
    };
    outgoing.once('close', () => clearTimeout(timer));
    outgoing.once('socket', (socket: Socket) => {
      const { secureConnecting = false } = socket as Partial<TLSSocket> &
        Socket & { secureConnecting?: boolean };
      if (!socket.connecting && !secureConnecting) start();
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', start);
    });
    return outgoing;
  };
  return {
    stream: { pipe } as unknown as Stream,
    isUpstreamBehind: () => writer?.isBehind === true,
  };
}
