import { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';

export interface CallOptions {
  socketPath: string;
  agent: Agent;
  method: 'GET' | 'POST';
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
  /** Milliseconds for the whole exchange. */
  timeout: number;
  /** Longest answer, in characters; 1 MiB unless it is said. */
  limit?: number;
}

export interface CallResult {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * A small request from one of our processes to another over a Unix socket.
 * @throws Error if there is no whole answer in time
 */
export async function call({
  timeout,
  body,
  headers,
  limit = 1024 * 1024,
  ...options
}: CallOptions): Promise<CallResult> {
  const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      { ...options, headers: { ...headers, ...length }, signal: AbortSignal.timeout(timeout) },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > limit) outgoing.destroy(new Error('the answer is too long'));
        });
        incoming.once('error', reject);
        incoming.once('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text }),
        );
      },
    );
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}
