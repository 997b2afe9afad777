import { randomUUID } from 'node:crypto';
import { type CallResult, call } from '#libs/http/call.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { inOrder } from './choose.ts';
import type { Instance, Instances } from './instances.ts';
import type { HopSigner } from './signature.ts';

/** A request to whichever instance. */
export interface HopRequest {
  method: 'GET' | 'POST';
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Milliseconds for the whole exchange with one instance. */
  timeout: number;
}

/** Small requests from one of our processes to another. */
export interface HopClient {
  /**
   * Asks one instance, and another one if the first cannot be reached or says that it cannot serve; so
   * only for what may be asked twice.
   * @throws Error if nobody gives a whole answer in time
   */
  call(options: HopRequest): Promise<CallResult>;
  /** Asks all instances; those that do not answer are left out. */
  callAll(options: HopRequest): Promise<CallResult[]>;
}

export interface HopClientOptions {
  instances: Instances;
  /** Undefined for hops that need no proof of who asks. */
  signer: HopSigner | undefined;
}

export function createHopClient({ instances, signer }: HopClientOptions): HopClient {
  async function ask(instance: Instance, options: HopRequest): Promise<CallResult> {
    instance.inFlight += 1;
    try {
      const { target, agent } = instance;
      return await call({ target, agent, ...signed(options, signer) });
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
function signed(options: HopRequest, signer: HopSigner | undefined): HopRequest {
  const { method, path } = options;
  const headers: Record<string, string> = { [internalHeaders.requestId]: randomUUID() };
  Object.assign(headers, options.headers);
  if (signer !== undefined) {
    headers[internalHeaders.signature] = signer.sign({ method, url: path, headers });
  }
  return { ...options, headers };
}
