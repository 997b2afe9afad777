import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Stream } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { hasBody } from '#libs/http/body.ts';
import { type BatchBuffers, BatchWriter } from './batch-writer.ts';

/** Milliseconds for a connection to one of our own. */
const connectTimeout = 2000;

/**
 * The body of a request, of which nothing is taken before the upstream is reached: until then another
 * upstream can still have all of it. In the shape that http-proxy pipes from.
 * @param onSending called when the upstream may see something of the request
 */
export function sendBody(
  request: IncomingMessage,
  buffers: BatchBuffers,
  onSending: () => void,
): Stream {
  // One that came at once is complete already, and has not been read all the same.
  const isToCome = hasBody(request);
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
      const writer = new BatchWriter(outgoing, buffers);
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
  return { pipe } as unknown as Stream;
}
