import {
  type Agent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface CallOptions {
  /** Where to: a Unix socket, or host, port and protocol. */
  target: RequestOptions;
  agent: Agent;
  method: 'GET' | 'POST';
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
  /** Milliseconds for the whole exchange. */
  timeout: number;
  /** Longest answer, in characters; 4 MiB unless it is said. */
  limit?: number;
}

export interface CallResult {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * A small request from one of our processes to another.
 * @throws Error if there is no whole answer in time
 */
export async function call({
  target,
  timeout,
  body,
  headers,
  limit = 4 * 1024 * 1024,
  ...options
}: CallOptions): Promise<CallResult> {
  const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
  const request = target.protocol === 'https:' ? httpsRequest : httpRequest;
  const signal = AbortSignal.timeout(timeout);
  const all = { ...target, ...options, headers: { ...headers, ...length }, signal };
  return await new Promise((resolve, reject) => {
    const outgoing = request(all, (incoming) => {
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
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}
