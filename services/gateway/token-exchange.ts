import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Access, formatScope } from '#libs/access/scope.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { TextResponse } from '#libs/http/request-text.ts';
import type { InternalClient } from '#libs/internal/client.ts';
import { RegistryError } from '#libs/oci/errors.ts';

/** Milliseconds an anonymous token is used again; bounds how late a changed rule is seen. */
const anonymousTtl = 5000;

export interface TokenRequest {
  scopes: readonly Access[];
  requestId: string;
  client: string;
  /** Aborted when the client has left. */
  signal?: AbortSignal | undefined;
}

/** Gets tokens from auth for requests that come without one. */
export interface TokenExchange {
  /**
   * For Basic credentials sent straight to the registry.
   * @param authorization the header as it came
   * @returns undefined if auth refuses the credentials
   * @throws RegistryError UNAVAILABLE, TOOMANYREQUESTS, REQUEST_INVALID if auth finds something else wrong
   */
  forBasic(authorization: string, request: TokenRequest): Promise<string | undefined>;
  /** For a caller without credentials. @throws RegistryError as above */
  forAnonymous(request: TokenRequest): Promise<string>;
}

const answerSchema = z.object({ token: z.string() });
const refusalSchema = z.object({ errors: z.array(z.object({ message: z.string() })).min(1) });

export function createTokenExchange(auth: InternalClient): TokenExchange {
  const anonymous = new LRUCache<string, string>({ max: 10_000, ttl: anonymousTtl });

  async function ask(
    { scopes, requestId, client, signal }: TokenRequest,
    authorization?: string,
  ): Promise<TextResponse> {
    const query = new URLSearchParams(scopes.map((access) => ['scope', formatScope(access)]));
    let answer: TextResponse;
    try {
      answer = await auth.call({
        method: 'GET',
        path: `/auth/token?${query}`,
        headers: {
          [internalHeaders.requestId]: requestId,
          [internalHeaders.clientAddress]: client,
          ...(authorization === undefined ? {} : { authorization }),
        },
        timeout: 30_000,
        signal,
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unavailable(cause);
    }
    if (answer.status === 429) {
      const retryAfter = Number(answer.headers['retry-after'] ?? 1);
      throw new RegistryError('TOOMANYREQUESTS', { retryAfter });
    }
    if (answer.status >= 500) throw unavailable(new Error(`auth answered ${answer.status}`));
    return answer;
  }

  return {
    async forBasic(authorization, request) {
      const answer = await ask(request, authorization);
      return answer.status === 401 ? undefined : tokenOf(answer);
    },

    async forAnonymous(request) {
      // Rules may look at the address.
      const key = [request.client, ...request.scopes.map(formatScope)].join(' ');
      const known = anonymous.get(key);
      if (known !== undefined) return known;
      const token = tokenOf(await ask(request));
      anonymous.set(key, token);
      return token;
    },
  };
}

/** @throws RegistryError with what auth says, where it gives none */
function tokenOf({ status, body }: TextResponse): string {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch (cause) {
    throw unavailable(cause);
  }
  const parsed = answerSchema.safeParse(answer);
  if (status === 200 && parsed.success) return parsed.data.token;
  const refusal = refusalSchema.safeParse(answer);
  if (status === 200 || !refusal.success) {
    throw unavailable(new Error(`auth answered ${status} and no token`));
  }
  throw new RegistryError('REQUEST_INVALID', { message: refusal.data.errors[0]?.message ?? '' });
}

function unavailable(cause: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'the token service does not answer; try again',
    retryAfter: 2,
    cause,
  });
}
