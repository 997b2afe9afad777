import { internalHeaders } from '#libs/http/internal-headers.ts';
import { protocolOf } from '#libs/http/internal-protocol.ts';
import type { TextResponse } from '#libs/http/request-text.ts';
import type { InternalClient } from '#libs/internal/client.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type Asker, createJoinedCalls } from './joined-calls.ts';

/** A request for a token, by GET. */
export interface TokenRequest extends Asker {
  /** With its query. */
  path: string;
  /** The header as it came; undefined without one. */
  authorization: string | undefined;
  client: string;
}

/** What gateways ask the token service for. */
export interface TokenRequests {
  /**
   * Asks for a token. Requests of one client with the same credentials for the same thing, that come while one of them is looked
   * at, are asked together (docs/adr/0022): each has its line in the logs of the token service, and is decided after it came.
   * @returns what the token service answers, be it a refusal
   * @throws RegistryError UNAVAILABLE if it does not; what the signal was aborted with
   */
  ask(request: TokenRequest): Promise<TextResponse>;
}

/** Milliseconds for an answer: passwords are compared in turn. */
const usualTimeout = 30_000;
/** Milliseconds of them that are left for who waited behind another one, at least. */
const leastTimeout = 1000;

/** Characters of query and credentials beside which the ids of others fit into what Node takes as headers, 16 KiB. */
const longest = 8000;

/** The version of the internal protocol from which on token services tell of requests that are asked together. */
const joinsSince = 2;

/** @param timeout milliseconds that an answer may take, with the time that a request waited for others */
export function createTokenRequests(auth: InternalClient, timeout = usualTimeout): TokenRequests {
  const calls = createJoinedCalls<TextResponse>();

  async function send(
    { path, authorization, client, requestId, signal }: TokenRequest,
    { joined = [], waited = 0 }: { joined?: readonly string[]; waited?: number } = {},
  ): Promise<TextResponse> {
    try {
      return await auth.call({
        method: 'GET',
        path,
        headers: {
          [internalHeaders.requestId]: requestId,
          [internalHeaders.clientAddress]: client,
          ...(authorization === undefined ? {} : { authorization }),
          ...(joined.length === 0 ? {} : { [internalHeaders.joined]: joined.join(',') }),
        },
        timeout: Math.max(leastTimeout, Math.round(timeout - waited)),
        signal,
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw tokenServiceAway(cause);
    }
  }

  return {
    async ask(request) {
      const { path, authorization, client, requestId } = request;
      const came = performance.now();
      // Those without credentials are limited by their number; beside long headers there is no room for others' ids.
      if (authorization === undefined || path.length + authorization.length > longest) {
        return await send(request);
      }
      const key = [client, authorization, path].join('\n');
      const { answer, isFirst } = await calls.call(
        key,
        request,
        async (requestIds, signal, waited) => {
          const [first = requestId, ...others] = requestIds;
          return await send({ ...request, requestId: first, signal }, { joined: others, waited });
        },
      );
      // A refusal counts for each of them, and an earlier version tells of the first only.
      const isForAll = answer.status === 200 && protocolOf(answer.headers) >= joinsSince;
      if (isForAll || isFirst) return answer;
      return await send(request, { waited: performance.now() - came });
    },
  };
}

/** The error of a request for which the token service gives no answer, or none that is of use. */
export function tokenServiceAway(cause: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'the token service does not answer; try again',
    retryAfter: 2,
    cause,
  });
}
