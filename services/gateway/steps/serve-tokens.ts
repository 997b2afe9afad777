import type { Middleware } from 'koa';
import { hasBody } from '#libs/http/body.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import type { GatewayContext, GatewayState } from '../authenticate.ts';
import type { UpstreamProxy } from '../proxy.ts';
import { withoutPrefix } from '../public-url.ts';
import { headersOf } from '../relayed-headers.ts';
import { assertBodyFits, continueIfAsked } from '../request-bodies.ts';
import type { TokenRequests } from '../token-requests.ts';

/** Paths that auth serves to the outside. */
const authPaths: ReadonlySet<string> = new Set(['/v2/_token', '/auth/token', '/auth/jwks']);

export interface ServeTokensOptions {
  /** Undefined in an open registry. */
  upstream: Upstream | undefined;
  /** Undefined without a token service. */
  tokenRequests: TokenRequests | undefined;
  proxy: UpstreamProxy;
  /** `http.prefix`, without a slash at the end. */
  prefix: string;
}

/** The step that serves what the token service shows to the outside: tokens, and its public keys. */
export function serveTokens(options: ServeTokensOptions): Middleware<GatewayState> {
  const { upstream, tokenRequests, proxy, prefix } = options;
  return async (ctx, next) => {
    const path = withoutPrefix(ctx.path, prefix);
    if (path === undefined || !authPaths.has(path) || upstream === undefined) {
      return await next();
    }
    ctx.state.access.route = 'token';
    assertBodyFits(ctx, undefined);
    continueIfAsked(ctx);
    if (tokenRequests !== undefined && isForToken(ctx, path)) {
      const answer = await tokenRequests.ask({
        path: `${path}${ctx.search}`,
        authorization: ctx.get('Authorization'),
        requestId: ctx.state.requestId,
        client: ctx.state.client,
        signal: whileClientWaits(ctx.res),
      });
      for (const [name, value] of headersOf(answer)) ctx.set(name, value);
      ctx.status = answer.status;
      ctx.body = answer.body;
      return;
    }
    await proxy.forward(ctx, {
      upstream,
      upstreamName: 'token service',
      url: `${path}${ctx.search}`,
      token: null,
    });
  };
}

/** Whether a request is for a token alone, by a user name and a password: these may be asked together. */
function isForToken(ctx: GatewayContext, path: string): boolean {
  const isPlain = ctx.method === 'GET' && !hasBody(ctx.req) && path !== '/auth/jwks';
  return isPlain && ctx.get('Authorization') !== '' && ctx.query.offline_token === undefined;
}
