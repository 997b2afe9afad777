import type Koa from 'koa';
import type { RouteMatch } from '#libs/api/match-route.ts';
import { matchRoute } from '#libs/api/match-route.ts';
import { believeNone } from '#libs/hop/guard.ts';
import type { Hop } from '#libs/hop/open-hop.ts';
import { createApp } from '#libs/http/app.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { Authenticator, GatewayContext, GatewayState } from './authenticate.ts';
import type { TrustedProxies } from './client-address.ts';
import type { UpstreamProxy } from './proxy.ts';
import { publicUrl } from './public-url.ts';

export interface GatewayOptions {
  log: Logger;
  readiness: Readiness;
  report?: SelfReport;
  accessLog: boolean;
  /** Undefined: an open registry. */
  authenticator: Authenticator | undefined;
  proxy: UpstreamProxy;
  proxies: TrustedProxies;
  prefix: string;
  publicUrl: string | undefined;
  headers: Readonly<Record<string, readonly string[]>>;
  /** The ways to what is behind us; without auth the registry is open. */
  hops: { core: Hop; auth: Hop | undefined };
}

/** Paths that auth serves to the outside. */
const authPaths: ReadonlySet<string> = new Set(['/v2/_token', '/auth/token', '/auth/jwks']);

/** Bytes of a body where the route needs none. */
const maxOtherBody = 64 * 1024;

/** The edge: every request of every client comes through here. */
export function createGatewayApp(options: GatewayOptions): Koa<GatewayState> {
  const { log, readiness, report, accessLog, authenticator, proxy, prefix, hops } = options;
  const app = createApp({
    log,
    readiness,
    report,
    guard: believeNone,
    ...(accessLog ? { accessLog: 'info' as const } : {}),
  }) as Koa<GatewayState>;

  let warned = false;
  app.use(async (ctx, next) => {
    if (!warned && ctx.get('X-Forwarded-For') !== '' && !options.proxies.trusts(ctx.req)) {
      warned = true;
      log.warn(
        { peer: options.proxies.clientAddress(ctx.req) },
        'a proxy that is not in portcullis.gateway.trustedproxies names clients: to rules, limits and the log they are all that proxy',
      );
    }
    identify(ctx, options);
    await next();
  });

  app.use(async (ctx) => {
    assertNoUnwantedBody(ctx);
    // A browser asks for permission without credentials; http.headers holds the answer.
    if (ctx.method === 'OPTIONS') {
      ctx.status = 204;
      return;
    }
    const path = withoutPrefix(ctx.path, prefix);
    if (ctx.path === '/' || path === '/' || path === '') {
      ctx.status = 200;
      ctx.body = '';
      return;
    }
    const url = `${path}${ctx.search}`;
    if (path !== undefined && authPaths.has(path) && hops.auth !== undefined) {
      ctx.state.access.route = 'token';
      assertBodyFits(ctx, undefined);
      await forward(ctx, { hop: hops.auth, upstream: 'token service', url, token: null });
      return;
    }
    if (path === undefined || !/^\/v2(?:\/|$)/.test(path)) throw new RegistryError('NOT_FOUND');
    ctx.set('Docker-Distribution-API-Version', 'registry/2.0');
    const match = matchRoute(ctx.method, path);
    ctx.state.access.route = match.route.id;
    if (match.params.name !== undefined) ctx.state.access.repository = match.params.name;
    const token = await authenticator?.authenticate(ctx, match);
    assertBodyFits(ctx, match);
    await forward(ctx, {
      hop: hops.core,
      // An upload's bytes stay with one core, which need not take over what another one has.
      key: match.params.session,
      upstream: 'storage core',
      url,
      token,
      onStatus(status) {
        if (status === 401) authenticator?.challenge(ctx, match, 'invalid_token');
      },
    });
  });

  /** A client that asked first is told to send its body only now, when we know that we want it. */
  async function forward(
    ctx: GatewayContext,
    to: Parameters<UpstreamProxy['forward']>[1],
  ): Promise<void> {
    if (/^100-continue$/i.test(ctx.get('Expect'))) ctx.res.writeContinue();
    await proxy.forward(ctx, to);
  }
  return app;
}

/** Settles who the client is and how it sees us, and what every answer carries. */
function identify(ctx: GatewayContext, options: GatewayOptions): void {
  const { proxies, prefix, headers } = options;
  const trusted = proxies.trusts(ctx.req);
  const given = ctx.get(internalHeaders.requestId);
  if (trusted && /^[\w.:-]{1,100}$/.test(given)) {
    ctx.state.requestId = given;
    ctx.state.log = options.log.child({ requestId: given });
  }
  ctx.state.client = proxies.clientAddress(ctx.req);
  ctx.set('X-Request-Id', ctx.state.requestId);
  for (const [name, values] of Object.entries(headers)) ctx.set(name, [...values]);
  ctx.state.publicUrl = publicUrl(ctx.req, options.publicUrl, trusted) + prefix;
}

/** The path below the prefix; undefined for one that is not below it. */
function withoutPrefix(path: string, prefix: string): string | undefined {
  if (prefix === '') return path;
  if (path === prefix) return '/';
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
}

/**
 * Methods without a use for a body get none past us: where a client, the proxy and the upstream could
 * disagree on whether there is one, the rest of it would be read as somebody else's request.
 * @throws RegistryError REQUEST_INVALID
 */
function assertNoUnwantedBody(ctx: GatewayContext): void {
  if (ctx.method === 'POST' || ctx.method === 'PUT' || ctx.method === 'PATCH') return;
  const { 'transfer-encoding': encoding, 'content-length': length = '0' } = ctx.req.headers;
  if (encoding === undefined && Number(length) === 0) return;
  throw new RegistryError('REQUEST_INVALID', { message: `${ctx.method} takes no body here` });
}

/** Only blobs may be large. @throws RegistryError CONTENT_TOO_LARGE */
function assertBodyFits(ctx: GatewayContext, match: RouteMatch | undefined): void {
  const isUpload = match?.params.session !== undefined || match?.route.id === 'startUpload';
  if (isUpload) return;
  const limit = match?.route.id === 'putManifest' ? maxManifestSize : maxOtherBody;
  if (Number(ctx.get('Content-Length') || 0) <= limit) return;
  throw new RegistryError('CONTENT_TOO_LARGE', {
    message: `the request body is larger than the ${limit} bytes allowed here`,
    detail: { limit },
  });
}
