import type { IncomingMessage } from 'node:http';
import { RegistryError } from '#libs/oci/errors.ts';

/** Milliseconds: the largest manifest over 300 kbit/s. */
const longest = 120_000;

/** Whether a request comes with a body, as its headers say. */
export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const { 'transfer-encoding': encoding, 'content-length': length = '0' } = headers;
  return encoding !== undefined || Number(length) !== 0;
}

/**
 * Reads a small body whole.
 * @param limit bytes
 * @param options.within milliseconds it may take to come, however steadily: what is kept for it is kept from others
 * @throws RegistryError CONTENT_TOO_LARGE, as soon as it is known; REQUEST_TIMEOUT; REQUEST_INVALID for a body
 *   cut short
 */
export async function readBody(
  request: IncomingMessage,
  limit: number,
  { within = longest } = {},
): Promise<Buffer> {
  const tooLarge = () =>
    new RegistryError('CONTENT_TOO_LARGE', {
      message: `the request body is larger than the ${limit} bytes allowed here`,
      detail: { limit },
    });
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  const body = new Promise<Buffer>((resolve, reject) => {
    const refuse = (error: RegistryError) => {
      request.removeAllListeners('data');
      request.pause();
      reject(error);
    };
    timer = setTimeout(() => {
      const message = `the request body did not arrive within ${within / 1000} s`;
      refuse(new RegistryError('REQUEST_TIMEOUT', { message }));
    }, within);
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else refuse(tooLarge());
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => {
      if (!request.complete) {
        reject(new RegistryError('REQUEST_INVALID', { message: 'the request body was cut short' }));
      }
    });
    request.once('error', (cause) => reject(new RegistryError('REQUEST_INVALID', { cause })));
  });
  return await body.finally(() => clearTimeout(timer));
}
