import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Stack } from './stack.ts';

export interface Http2Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The code of the reset that ended the stream; 0 for none. */
  rstCode: number;
}

/** One connection of HTTP/2 to a stack with TLS. */
export interface Http2Client {
  session: ClientHttp2Session;
  /** Sends a request whole and takes its answer whole. */
  ask(
    method: string,
    path: string,
    options?: { headers?: OutgoingHttpHeaders; body?: Buffer | string },
  ): Promise<Http2Answer>;
  /** Opens a stream; its body, if the method has one, is left open, and its answer untaken. */
  open(method: string, path: string, headers?: OutgoingHttpHeaders): ClientHttp2Stream;
  close(): void;
}

export async function http2Client(
  stack: Stack,
  options: ClientSessionOptions = {},
): Promise<Http2Client> {
  const session = connect(`https://localhost:${stack.port}`, {
    ca: await readFile(stack.ca),
    // Node counts what a hundred bodies hold on the way out.
    maxSessionMemory: 1000,
    ...options,
  } as ClientSessionOptions);
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  const open: Http2Client['open'] = (method, path, headers = {}) => {
    const stream = session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: method === 'GET' || method === 'HEAD' },
    );
    stream.on('error', () => {});
    return stream;
  };
  return {
    session,
    open,
    async ask(method, path, { headers = {}, body } = {}) {
      const stream = session.request(
        { ':method': method, ':path': path, ...headers },
        { endStream: body === undefined },
      );
      stream.on('error', () => {});
      if (body !== undefined) stream.end(body);
      return await takeAnswer(stream);
    },
    close: () => session.destroy(),
  };
}

/** Takes the answer of a stream whole. */
export async function takeAnswer(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const answer: Http2Answer = { status: 0, headers: {}, body: Buffer.alloc(0), rstCode: 0 };
  const chunks: Buffer[] = [];
  stream.on('response', (headers) => {
    answer.headers = headers;
    answer.status = headers[':status'] ?? 0;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (!stream.destroyed) await new Promise((resolve) => stream.once('close', resolve));
  return { ...answer, body: Buffer.concat(chunks), rstCode: stream.rstCode };
}
