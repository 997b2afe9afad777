import type Koa from 'koa';
import type { RouteMatch } from '#libs/api/match-route.ts';
import { matchRoute } from '#libs/api/match-route.ts';
import { createApp } from '#libs/http/app.ts';
import { disposeWithAnswer } from '#libs/http/client-gone.ts';
import { closeAfter } from '#libs/http/end-early.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { trustNoPeer } from '#libs/http/peer-check.ts';
import type { ProcessStatus } from '#libs/http/process-status.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import type { Authenticator, GatewayContext, GatewayState } from './authenticate.ts';
import type { GatewayBudgets } from './budgets.ts';
import type { TrustedProxies } from './client-address.ts';
import type { ClientConnections } from './client-connections.ts';
import type { GiveUp } from './give-up.ts';
import type { UpstreamProxy } from './proxy.ts';
import { publicUrl } from './public-url.ts';

export interface GatewayOptions {
  log: Logger;
  readiness: Readiness;
  processStatus?: ProcessStatus;
  accessLog: boolean;
  /** Undefined: an open registry. */
  authenticator: Authenticator | undefined;
  proxy: UpstreamProxy;
  proxies: TrustedProxies;
  prefix: string;
  publicUrl: string | undefined;
  headers: Readonly<Record<string, readonly string[]>>;
  budgets: Pick<GatewayBudgets, 'requests'>;
  connections: ClientConnections;
  /** The ways to what is behind us; without auth the registry is open. */
  upstreams: { core: Upstream; auth: Upstream | undefined };
  giveUp: GiveUp;
}

/** Paths that auth serves to the outside. */
const authPaths: ReadonlySet<string> = new Set(['/v2/_token', '/auth/token', '/auth/jwks']);

/** Bytes of a body where the route needs none. */
const maxOtherBody = 64 * 1024;

/** The edge: every request of every client comes through here. */
export function createGatewayApp(options: GatewayOptions): Koa<GatewayState> {
  const { log, readiness, processStatus, accessLog, authenticator, proxy, prefix, upstreams } =
    options;
  const app = createApp({
    log,
    readiness,
    processStatus,
    checkPeer: trustNoPeer,
    ...(accessLog ? { accessLog: 'info' as const } : {}),
  }) as Koa<GatewayState>;

  let warned = false;
  app.use(async (ctx, next) => {
    if (!warned && ctx.get('X-Forwarded-For') !== '' && !options.proxies.trusts(ctx.req)) {
      warned = true;
      log.warn(
        { peer: options.proxies.clientAddress(ctx.req) },
        'ignoring X-Forwarded-For of a proxy that is not in portcullis.gateway.trustedproxies: rules, limits and the log see the address of the proxy',
      );
    }
    identify(ctx, options);
    admit(ctx, options);
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
    if (path !== undefined && authPaths.has(path) && upstreams.auth !== undefined) {
      ctx.state.access.route = 'token';
      assertBodyFits(ctx, undefined);
      await forward(ctx, {
        upstream: upstreams.auth,
        upstreamName: 'token service',
        url,
        token: null,
      });
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
      upstream: upstreams.core,
      // An upload's bytes stay with one core, which need not take over what another one has; so do the pages
      // of the catalog, for what one core alone knows of them.
      key: match.params.session ?? (match.route.id === 'catalog' ? 'catalog' : undefined),
      upstreamName: 'storage core',
      url,
      token,
      giveUp: (attempt, instance) => options.giveUp({ attempt, match, instance }),
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
  assertOneHost(ctx);
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

/** Takes a share of what is scarce, until the answer is over. @throws RegistryError TOOMANYREQUESTS */
function admit(ctx: GatewayContext, { budgets, connections }: GatewayOptions): void {
  try {
    connections.assertAdmitted(ctx.req);
  } catch (error) {
    closeAfter(ctx.res);
    throw error;
  }
  const lease = budgets.requests.tryTake(partiesOf(ctx.state.client), 1);
  if (lease === undefined) throw budgets.requests.refuse();
  disposeWithAnswer(ctx.res, lease);
}

/**
 * Of two hosts we would take one, and whoever stands before us perhaps the other (RFC 9112 section 3.2).
 * @throws RegistryError REQUEST_INVALID
 */
function assertOneHost({ req }: GatewayContext): void {
  const hosts = req.rawHeaders.filter(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'host',
  );
  if (hosts.length <= 1) return;
  throw new RegistryError('REQUEST_INVALID', { message: 'the request has two Host headers' });
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
  closeAfter(ctx.res);
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
