import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Access, formatScope } from '#libs/access/scope.ts';
import type { TextResponse } from '#libs/http/request-text.ts';
import { atMost } from '#libs/limits/cache-size.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type TokenRequests, tokenServiceAway } from './token-requests.ts';

/** Milliseconds an anonymous token is used again; bounds how late a changed rule is seen. */
const anonymousTtl = 5000;

export interface ExchangeRequest {
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
  forBasic(authorization: string, request: ExchangeRequest): Promise<string | undefined>;
  /** For a caller without credentials. @throws RegistryError as above */
  forAnonymous(request: ExchangeRequest): Promise<string>;
}

const answerSchema = z.object({ token: z.string() });
const refusalSchema = z.object({ errors: z.array(z.object({ message: z.string() })).min(1) });

export function createTokenExchange(requests: TokenRequests): TokenExchange {
  const anonymous = new LRUCache<string, string>({ ...atMost(10_000), ttl: anonymousTtl });

  async function ask(
    { scopes, ...asker }: ExchangeRequest,
    authorization?: string,
  ): Promise<TextResponse> {
    const query = new URLSearchParams(scopes.map((access) => ['scope', formatScope(access)]));
    const answer = await requests.ask({ ...asker, path: `/auth/token?${query}`, authorization });
    if (answer.status === 429) {
      const retryAfter = Number(answer.headers['retry-after'] ?? 1);
      throw new RegistryError('TOOMANYREQUESTS', { retryAfter });
    }
    // Node's own answer to headers that are longer than it takes.
    if (answer.status === 431) {
      throw new RegistryError('REQUEST_INVALID', { message: 'the credentials are too long' });
    }
    if (answer.status >= 500) throw tokenServiceAway(new Error(`auth answered ${answer.status}`));
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
    throw tokenServiceAway(cause);
  }
  const parsed = answerSchema.safeParse(answer);
  if (status === 200 && parsed.success) return parsed.data.token;
  const refusal = refusalSchema.safeParse(answer);
  if (status === 200 || !refusal.success) {
    throw tokenServiceAway(new Error(`auth answered ${status} and no token`));
  }
  throw new RegistryError('REQUEST_INVALID', { message: refusal.data.errors[0]?.message ?? '' });
}
