import type { ParameterizedContext } from 'koa';
import { formatScope } from '#libs/access/scope.ts';
import type { RouteMatch } from '#libs/api/match-route.ts';
import { isAllowed, optionalAccess, requestedAccess } from '#libs/api/required-access.ts';
import type { RefusalRecord, RefusedToken } from '#libs/audit/refusal-record.ts';
import {
  type BearerChallenge,
  formatBasicChallenge,
  formatBearerChallenge,
} from '#libs/auth/challenge.ts';
import type { Claims } from '#libs/auth/claims.ts';
import { type Credentials, parseAuthorization } from '#libs/auth/credentials.ts';
import type { Verifier } from '#libs/auth/verify.ts';
import type { RequestState } from '#libs/http/app.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { TokenExchange } from './token-exchange.ts';

/** What the gateway adds to a request on its way. */
export interface GatewayState extends RequestState {
  /** Scheme, host and prefix as the client sees them. */
  publicUrl: string;
}

export type GatewayContext = ParameterizedContext<GatewayState>;

export interface AuthenticateOptions {
  verifier: Verifier;
  /** Undefined where tokens come from another server, which alone sees passwords. */
  exchange: TokenExchange | undefined;
  /** The `service` of challenges. */
  service: string;
  /** Where clients get tokens. */
  tokenRealm(ctx: GatewayContext): string;
  /** Shown by a browser that asks for a password. */
  browserRealm: string;
  /** Told of each token that is refused, but for those that only are too old. */
  refusals?: Pick<RefusalRecord, 'refused'> | undefined;
}

/** Judges a request at the edge. */
export interface Authenticator {
  /**
   * Gives the request a token that is enough for its route.
   * @returns the token the core is to see
   * @throws RegistryError UNAUTHORIZED with the challenge set, DENIED
   */
  authenticate(ctx: GatewayContext, match: RouteMatch): Promise<string>;
  /** Sets the challenge of a 401, also of one that the core decided. */
  challenge(ctx: GatewayContext, match: RouteMatch, error?: BearerChallenge['error']): void;
}

export function createAuthenticator(options: AuthenticateOptions): Authenticator {
  const { verifier, exchange, service, tokenRealm, browserRealm, refusals } = options;

  function challenge(
    ctx: GatewayContext,
    match: RouteMatch,
    error?: BearerChallenge['error'],
  ): void {
    ctx.vary('Sec-Fetch-Mode');
    ctx.vary('Upgrade-Insecure-Requests');
    // One challenge only: docker answers a second one with the password instead of the token.
    if (exchange !== undefined && isNavigation(ctx)) {
      ctx.set('WWW-Authenticate', formatBasicChallenge(browserRealm));
      return;
    }
    const bearer: BearerChallenge = { realm: tokenRealm(ctx), service };
    const scope = requestedAccess(match);
    if (scope.length > 0) bearer.scope = scope;
    if (error !== undefined) bearer.error = error;
    ctx.set('WWW-Authenticate', formatBearerChallenge(bearer));
  }

  function refuse(
    ctx: GatewayContext,
    match: RouteMatch,
    message: string | undefined,
    error?: BearerChallenge['error'],
  ): never {
    challenge(ctx, match, error);
    throw new RegistryError('UNAUTHORIZED', message === undefined ? {} : { message });
  }

  function record(
    { state: { client, requestId } }: GatewayContext,
    match: RouteMatch,
    refused: Pick<RefusedToken, 'event' | 'subject' | 'why'>,
  ): void {
    const scope = requestedAccess(match).map(formatScope).join(' ');
    refusals?.refused({ ...refused, scope, client, requestId });
  }

  /** Whose token it is and what it grants; a token whose only fault is age may finish an upload. */
  async function claimsOf(ctx: GatewayContext, match: RouteMatch, token: string): Promise<Claims> {
    const result = await verifier.verify(token);
    if (result.ok) return result.claims;
    if (result.expired !== undefined && match.params.session !== undefined) return result.expired;
    if (result.expired === undefined) {
      const { subject, why, isForged } = result;
      const event = isForged === true ? 'forged' : 'denied';
      record(ctx, match, { event, subject: subject ?? '', why });
    }
    return refuse(ctx, match, `authentication required: ${result.why}`, 'invalid_token');
  }

  async function obtainToken(
    ctx: GatewayContext,
    match: RouteMatch,
    credentials: Credentials,
  ): Promise<string> {
    const { requestId, client } = ctx.state;
    const scopes = [
      ...requestedAccess(match),
      ...optionalAccess(match, new URLSearchParams(ctx.querystring)),
    ];
    const request = { scopes, requestId, client, signal: whileClientWaits(ctx.res) };
    switch (credentials.scheme) {
      case 'bearer':
        return credentials.token;
      case 'basic': {
        if (exchange === undefined) {
          return refuse(ctx, match, 'get a token with your password, as the challenge says');
        }
        refuseCrossSite(ctx);
        const token = await exchange.forBasic(ctx.get('Authorization'), request);
        return token ?? refuse(ctx, match, 'incorrect username or password');
      }
      case 'malformed':
        return refuse(ctx, match, `authentication required: ${credentials.why}`);
      case 'none':
        // Clients learn here that there is something to log in to, even if much is public.
        if (match.route.needs === 'login' || exchange === undefined) {
          return refuse(ctx, match, undefined);
        }
        return await exchange.forAnonymous(request);
    }
  }

  return {
    challenge,

    async authenticate(ctx, match) {
      const credentials = parseAuthorization(ctx.get('Authorization'));
      const token = await obtainToken(ctx, match, credentials);
      const claims = await claimsOf(ctx, match, token);
      ctx.state.access.subject = claims.sub;
      if (isAllowed(match, claims.access)) return token;
      const wanted = requestedAccess(match).map(formatScope).join(' ');
      if (credentials.scheme === 'none') return refuse(ctx, match, undefined);
      if (credentials.scheme === 'basic') {
        throw new RegistryError('DENIED', {
          message: `${claims.sub} is not allowed ${wanted}`,
        });
      }
      record(ctx, match, { event: 'denied', subject: claims.sub, why: 'not granted' });
      return refuse(ctx, match, `this token does not grant ${wanted}`, 'insufficient_scope');
    },
  };
}

/** A person's browser opening a page, rather than a registry client. */
function isNavigation(ctx: GatewayContext): boolean {
  return ctx.get('Sec-Fetch-Mode') === 'navigate' || ctx.get('Upgrade-Insecure-Requests') === '1';
}

/** A browser sends remembered Basic credentials along with what another site makes it send. */
function refuseCrossSite(ctx: GatewayContext): void {
  const site = ctx.get('Sec-Fetch-Site');
  const crossSite = site === 'cross-site' || site === 'same-site';
  if (!crossSite || ctx.method === 'GET' || ctx.method === 'HEAD') return;
  throw new RegistryError('DENIED', {
    message: 'a page of another site may not change this registry with your password',
  });
}
