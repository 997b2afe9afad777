import type { IncomingMessage } from 'node:http';
import { RegistryError } from '#libs/oci/errors.ts';

/**
 * Reads a small body whole.
 * @param limit bytes
 * @throws RegistryError CONTENT_TOO_LARGE, as soon as it is known; REQUEST_INVALID for a body cut short
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const tooLarge = () =>
    new RegistryError('CONTENT_TOO_LARGE', {
      message: `the request body is larger than the ${limit} bytes allowed here`,
      detail: { limit },
    });
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  return await new Promise<Buffer>((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else {
        request.removeAllListeners('data');
        request.pause();
        reject(tooLarge());
      }
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => {
      if (!request.complete) {
        reject(new RegistryError('REQUEST_INVALID', { message: 'the request body was cut short' }));
      }
    });
    request.once('error', (cause) => reject(new RegistryError('REQUEST_INVALID', { cause })));
  });
}
