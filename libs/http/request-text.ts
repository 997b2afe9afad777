import type { Agent, IncomingHttpHeaders, OutgoingHttpHeaders, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { request as httpRequest } from './node-http.ts';

export interface TextRequest {
  /** Where to: a Unix socket, or host, port and protocol. */
  target: RequestOptions;
  agent: Agent;
  method: 'GET' | 'POST';
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
  /** Milliseconds for the whole exchange. */
  timeout: number;
  /** Gives the exchange up when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Longest answer, in characters; 4 MiB unless it is said. */
  limit?: number;
}

export interface TextResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * A small request from one of our processes to another.
 * @throws Error if there is no whole answer in time
 */
export async function requestText({
  target,
  timeout,
  body,
  headers,
  signal: given,
  limit = 4 * 1024 * 1024,
  ...options
}: TextRequest): Promise<TextResponse> {
  const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
  const request = target.protocol === 'https:' ? httpsRequest : httpRequest;
  const deadline = AbortSignal.timeout(timeout);
  const signal = given === undefined ? deadline : AbortSignal.any([given, deadline]);
  const all = { ...target, ...options, headers: { ...headers, ...length }, signal };
  return await new Promise((resolve, reject) => {
    const outgoing = request(all, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > limit) outgoing.destroy(new Error('the answer is too long'));
      });
      incoming.on('error', reject);
      incoming.once('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text }),
      );
    });
    // Also one that comes after the first ends nothing.
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
