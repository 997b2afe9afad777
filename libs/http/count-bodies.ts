import type { IncomingMessage, ServerResponse } from 'node:http';
import { Http2Request, Http2Response } from './http2-messages.ts';

/** Bytes of an exchange's bodies so far. */
export interface BodyCount {
  received(): number;
  /** What was handed to the connection. */
  sent(): number;
}

/** Counts bodies as they pass, whoever reads and writes them. To be called before the first byte. */
export function countBodies(request: IncomingMessage, response: ServerResponse): BodyCount {
  if (request instanceof Http2Request && response instanceof Http2Response) {
    return { received: () => request.received, sent: () => response.taken };
  }
  let received = 0;
  let sent = 0;
  const push = request.push.bind(request);
  request.push = (chunk: Buffer | null, ...rest) => {
    received += chunk?.length ?? 0;
    return push(chunk, ...rest);
  };
  const counting = (send: (...args: never[]) => unknown) =>
    ((chunk: unknown, ...rest: never[]) => {
      if (typeof chunk === 'string' || chunk instanceof Uint8Array)
        sent += Buffer.byteLength(chunk);
      return send(chunk as never, ...rest);
    }) as never;
  response.write = counting(response.write.bind(response));
  response.end = counting(response.end.bind(response));
  return { received: () => received, sent: () => sent };
}
