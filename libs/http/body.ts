import type { IncomingMessage } from 'node:http';
import type { GrowingLease } from '#libs/limits/budget.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Http2Request } from './http2-messages.ts';

/** Milliseconds: the largest manifest over 300 kbit/s. */
const longest = 120_000;

/** Whether a request comes with a body, as its headers say. */
export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const { 'transfer-encoding': encoding, 'content-length': length = '0' } = headers;
  return encoding !== undefined || Number(length) !== 0;
}

/**
 * Whether a body that has ended came to its end. Over HTTP/2 one that its client breaks off without an error ends as well
 * (RFC 9113 section 8.1), and its stream is closed by then.
 */
export function hasAllCome(request: IncomingMessage): boolean {
  const { complete, aborted, headers } = request;
  const { received, stream } = request as unknown as Partial<Http2Request>;
  if (!complete || aborted || stream?.closed === true) return false;
  const announced = headers['content-length'];
  return announced === undefined || received === undefined || Number(announced) === received;
}

export interface ReadBodyOptions {
  within?: number;
  signal?: AbortSignal;
  memory?: Pick<GrowingLease, 'amount' | 'growTo'>;
}

/**
 * Reads a small body whole.
 * @param limit bytes
 * @param options.within milliseconds it may take to come, however steadily: what is kept for it is kept from others
 * @param options.signal aborted when the answer is of no more use
 * @param options.memory what is taken for it: it grows with what has come, and the rest waits until it has
 * @throws RegistryError CONTENT_TOO_LARGE, as soon as it is known; REQUEST_TIMEOUT; REQUEST_INVALID for a body
 *   cut short; TOOMANYREQUESTS where there is no memory for more
 */
export async function readBody(
  request: IncomingMessage,
  limit: number,
  { within = longest, signal, memory }: ReadBodyOptions = {},
): Promise<Buffer> {
  signal?.throwIfAborted();
  const tooLarge = () =>
    new RegistryError('CONTENT_TOO_LARGE', {
      message: `the request body is larger than the ${limit} bytes allowed here`,
      detail: { limit },
    });
  const announced = Number(request.headers['content-length'] ?? limit);
  if (announced > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  let room = memory?.amount ?? limit;
  let timer: NodeJS.Timeout | undefined;
  let onAbort = () => {};
  const body = new Promise<Buffer>((resolve, reject) => {
    const refuse = (error: Error) => {
      request.removeAllListeners('data');
      request.pause();
      reject(error);
    };
    onAbort = () => refuse(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    timer = setTimeout(() => {
      const message = `the request body did not arrive within ${within / 1000} s`;
      refuse(new RegistryError('REQUEST_TIMEOUT', { message }));
    }, within);
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) return refuse(tooLarge());
      chunks.push(chunk);
      if (memory === undefined || size <= room) return;
      room = Math.min(announced, 2 * size);
      request.pause();
      memory.growTo(room).then(() => request.resume(), refuse);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => {
      if (!request.complete) {
        reject(new RegistryError('REQUEST_INVALID', { message: 'the request body was cut short' }));
      }
    });
    request.once('error', (cause) => reject(new RegistryError('REQUEST_INVALID', { cause })));
  });
  return await body.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  });
}
