import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Access, formatScope } from '#libs/auth/scope.ts';
import type { HopClient } from '#libs/hop/client.ts';
import type { CallResult } from '#libs/http/call.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { RegistryError } from '#libs/oci/errors.ts';

/** Milliseconds an anonymous token is used again; bounds how late a changed rule is seen. */
const anonymousTtl = 5000;

export interface TokenRequest {
  scopes: readonly Access[];
  requestId: string;
  client: string;
}

/** Gets tokens from auth for requests that come without one. */
export interface TokenExchange {
  /**
   * For Basic credentials sent straight to the registry.
   * @param authorization the header as it came
   * @returns undefined if auth refuses the credentials
   * @throws RegistryError UNAVAILABLE, TOOMANYREQUESTS
   */
  forBasic(authorization: string, request: TokenRequest): Promise<string | undefined>;
  /** For a caller without credentials. @throws RegistryError UNAVAILABLE */
  forAnonymous(request: TokenRequest): Promise<string>;
}

const answerSchema = z.object({ token: z.string() });

export function createTokenExchange(auth: HopClient): TokenExchange {
  const anonymous = new LRUCache<string, string>({ max: 10_000, ttl: anonymousTtl });

  async function ask(
    { scopes, requestId, client }: TokenRequest,
    authorization?: string,
  ): Promise<CallResult> {
    const query = new URLSearchParams(scopes.map((access) => ['scope', formatScope(access)]));
    let answer: CallResult;
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
      });
    } catch (cause) {
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
      const { status, body } = await ask(request, authorization);
      return status === 200 ? answerSchema.parse(JSON.parse(body)).token : undefined;
    },

    async forAnonymous(request) {
      // Rules may look at the address.
      const key = [request.client, ...request.scopes.map(formatScope)].join(' ');
      const known = anonymous.get(key);
      if (known !== undefined) return known;
      const { token } = answerSchema.parse(JSON.parse((await ask(request)).body));
      anonymous.set(key, token);
      return token;
    },
  };
}

function unavailable(cause: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'the token service does not answer; try again',
    retryAfter: 2,
    cause,
  });
}
