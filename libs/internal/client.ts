import { randomUUID } from 'node:crypto';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { internalProtocol } from '#libs/http/internal-protocol.ts';
import { requestText, type TextResponse } from '#libs/http/request-text.ts';
import { inOrder } from './choose.ts';
import type { Instance } from './instance.ts';
import type { Instances } from './instances.ts';
import type { RequestSigner } from './signature.ts';

/** A request to whichever instance. */
export interface InternalRequest {
  method: 'GET' | 'POST';
  path: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Milliseconds for the whole exchange with one instance. */
  timeout: number;
  /** Aborted when nobody waits for the answer any more. */
  signal?: AbortSignal | undefined;
}

/** Small requests from one of our processes to another. */
export interface InternalClient {
  /**
   * Asks one instance, and another one if the first cannot be reached or says that it cannot serve; a single one again, but where
   * it did not answer in time. So only for what may be asked twice.
   * @returns the answer, be it that nobody can serve (503)
   * @throws Error if nobody gives a whole answer in time
   */
  call(options: InternalRequest): Promise<TextResponse>;
  /** Asks all instances but those that stopped answering altogether; those that do not answer now are left out. */
  callAll(options: InternalRequest): Promise<TextResponse[]>;
}

/** Instances that are asked for one answer. */
const maxAttempts = 2;

export interface InternalClientOptions {
  instances: Instances;
  /** Undefined for links that need no proof of who asks. */
  signer: RequestSigner | undefined;
}

export function createInternalClient({ instances, signer }: InternalClientOptions): InternalClient {
  async function ask(instance: Instance, options: InternalRequest): Promise<TextResponse> {
    const { target, agent } = instance;
    const down = instance.down.signal;
    const ending = new AbortController();
    const giveUp = () => ending.abort(new Error('it stopped answering'));
    const leave = () => ending.abort(options.signal?.reason);
    instance.inFlight += 1;
    down.addEventListener('abort', giveUp);
    options.signal?.addEventListener('abort', leave);
    if (down.aborted) giveUp();
    if (options.signal?.aborted === true) leave();
    try {
      const { signal } = ending;
      return await requestText({ target, agent, ...signed(options, signer), signal });
    } finally {
      instance.inFlight -= 1;
      down.removeEventListener('abort', giveUp);
      options.signal?.removeEventListener('abort', leave);
    }
  }

  return {
    async call(options) {
      let trouble = new Error('no process to ask');
      let refusal: TextResponse | undefined;
      const [first, ...others] = inOrder(instances.all());
      if (first === undefined) throw trouble;
      // A single one may have closed the very connection that we chose.
      const candidates = [first, ...(others.length > 0 ? others : [first])].slice(0, maxAttempts);
      for (const instance of candidates) {
        try {
          const answer = await ask(instance, options);
          const isStopping = answer.headers[internalHeaders.refused] !== undefined;
          if (answer.status !== 503 && !isStopping) return answer;
          refusal = answer;
          if (isStopping) instances.eject(instance, new Error('it is stopping'));
          else if (others.length === 0) break;
        } catch (error) {
          trouble = error as Error;
          if (options.signal?.aborted === true) break;
          instances.eject(instance, trouble);
          // It has had its time.
          if (others.length === 0 && trouble.name === 'AbortError') break;
        }
      }
      if (refusal !== undefined) return refusal;
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
function signed(options: InternalRequest, signer: RequestSigner | undefined): InternalRequest {
  const { method, path } = options;
  const headers: Record<string, string> = {
    [internalHeaders.requestId]: randomUUID(),
    [internalHeaders.protocol]: String(internalProtocol.newest),
  };
  Object.assign(headers, options.headers);
  if (signer !== undefined) {
    headers[internalHeaders.signature] = signer.sign({ method, url: path, headers });
  }
  return { ...options, headers };
}
