import { randomUUID } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { inOrder } from './choose.ts';
import type { Instance, Instances } from './instances.ts';
import type { HopSigner } from './signature.ts';

export interface CallOptions {
  method: 'GET' | 'POST';
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Milliseconds for the whole exchange with one instance. */
  timeout: number;
}

export interface CallResult {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Small requests from one of our processes to another. */
export interface HopClient {
  /**
   * Asks one instance, and another one if the first cannot be reached or says that it cannot serve; so
   * only for what may be asked twice.
   * @throws Error if nobody gives a whole answer in time
   */
  call(options: CallOptions): Promise<CallResult>;
  /** Asks all instances; those that do not answer are left out. */
  callAll(options: CallOptions): Promise<CallResult[]>;
}

export interface HopClientOptions {
  instances: Instances;
  /** Undefined for hops that need no proof of who asks. */
  signer: HopSigner | undefined;
}

/** Longest answer one of our processes may give another, in characters. */
const maxAnswer = 4 * 1024 * 1024;

export function createHopClient({ instances, signer }: HopClientOptions): HopClient {
  async function ask(instance: Instance, options: CallOptions): Promise<CallResult> {
    instance.inFlight += 1;
    try {
      return await exchange(instance, signed(options, signer));
    } finally {
      instance.inFlight -= 1;
    }
  }

  return {
    async call(options) {
      let trouble = new Error('there is nobody to ask');
      for (const instance of inOrder(instances.all()).slice(0, 2)) {
        try {
          const answer = await ask(instance, options);
          if (answer.status !== 503) return answer;
          trouble = new Error(`${instance.name} answered 503`);
        } catch (error) {
          trouble = error as Error;
          instances.eject(instance, trouble);
        }
      }
      throw trouble;
    },

    async callAll(options) {
      const all = instances.all().map((instance) => ask(instance, options));
      const settled = await Promise.allSettled(all);
      return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    },
  };
}

/** The request with all headers that one of ours sends. */
function signed(options: CallOptions, signer: HopSigner | undefined): CallOptions {
  const { method, path, body } = options;
  const headers: Record<string, string> = { [internalHeaders.requestId]: randomUUID() };
  Object.assign(headers, options.headers);
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
  if (signer !== undefined) {
    headers[internalHeaders.signature] = signer.sign({ method, url: path, headers });
  }
  return { ...options, headers };
}

async function exchange(
  { target, agent }: Instance,
  { timeout, body, ...options }: CallOptions,
): Promise<CallResult> {
  const request = target.protocol === 'https:' ? httpsRequest : httpRequest;
  const signal = AbortSignal.timeout(timeout);
  return await new Promise((resolve, reject) => {
    const outgoing = request({ ...target, ...options, agent, signal }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > maxAnswer) outgoing.destroy(new Error('the answer is too long'));
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
