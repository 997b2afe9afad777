import type Koa from 'koa';
import type { Middleware } from 'koa';
import { matchRoute } from '#libs/api/match-route.ts';
import type { RouteId } from '#libs/api/routes.ts';
import { createApp } from '#libs/http/app.ts';
import { hasBody } from '#libs/http/body.ts';
import { disposeWithAnswer } from '#libs/http/client-gone.ts';
import { closeAfter } from '#libs/http/end-early.ts';
import { Http2Response } from '#libs/http/http2-messages.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { trustNoPeer } from '#libs/http/peer-check.ts';
import type { ProcessStatus } from '#libs/http/process-status.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Authenticator, GatewayContext, GatewayState } from './authenticate.ts';
import type { GatewayBudgets } from './budgets.ts';
import type { TrustedProxies } from './client-address.ts';
import type { ClientConnections } from './client-connections.ts';
import type { TreeFiles } from './files/tree-files.ts';
import type { GiveUp } from './give-up.ts';
import { type KeptAnswers, sendKept } from './kept-answers.ts';
import type { UpstreamProxy } from './proxy.ts';
import { publicUrl, withoutPrefix } from './public-url.ts';
import {
  assertBodyFits,
  assertBodyWanted,
  continueIfAsked,
  mayBeWritten,
} from './request-bodies.ts';
import { rootPage } from './root-page.ts';
import { serveTokens } from './steps/serve-tokens.ts';
import { warnOfProxies } from './steps/warn-of-proxies.ts';
import type { TokenRequests } from './token-requests.ts';

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
  /** Undefined without a token service. */
  tokenRequests: TokenRequests | undefined;
  giveUp: GiveUp;
  /** The storage tree of the cores; undefined where we cannot see it. */
  tree: StorageAccess | undefined;
}

/** What a gateway makes of seeing the storage tree of its cores. */
export interface StorageAccess {
  /** What they may offer instead of the bytes of a blob. */
  files: TreeFiles;
  /** What they have answered, while the files that decide it are as they were. */
  answers: KeptAnswers;
}

type Step = Middleware<GatewayState>;

/** The edge: every request of every client takes these steps, in this order, until one of them answers. */
export function createGatewayApp(options: GatewayOptions): Koa<GatewayState> {
  const { log, readiness, processStatus, accessLog } = options;
  const app = createApp({
    log,
    readiness,
    processStatus,
    checkPeer: trustNoPeer,
    asDistribution: true,
    ...(accessLog ? { accessLog: 'info' as const } : {}),
  }) as Koa<GatewayState>;
  const steps: Step[] = [
    warnOfProxies(options),
    identifyClient(options),
    admit(options),
    refuseUnwantedBody,
    answerPreflight,
    answerRoot(options),
    serveTokens({ ...options, upstream: options.upstreams.auth }),
    serveRegistry(options),
  ];
  for (const step of steps) app.use(step);
  return app;
}

/** Settles who the client is and how it sees us, and what every answer carries. */
function identifyClient({ proxies, prefix, headers, log, ...options }: GatewayOptions): Step {
  return async (ctx, next) => {
    assertOneHost(ctx);
    const trusted = proxies.trusts(ctx.req);
    const given = ctx.get(internalHeaders.requestId);
    if (trusted && /^[\w.:-]{1,100}$/.test(given)) {
      ctx.state.requestId = given;
      ctx.state.log = log.child({ requestId: given });
    }
    ctx.state.client = proxies.clientAddress(ctx.req);
    ctx.set('X-Request-Id', ctx.state.requestId);
    for (const [name, values] of Object.entries(headers)) ctx.set(name, [...values]);
    ctx.state.publicUrl = publicUrl(ctx.req, options.publicUrl, trusted) + prefix;
    await next();
  };
}

/**
 * How many other requests one counts as that carries something large, one way or the other: so much more of it is in
 * memory, however slowly it goes on.
 */
const weightOfLarge = 4;

/** Whether a request has a body, or gets something of a repository. */
function carriesMuch({ req, method, path }: GatewayContext): boolean {
  return (
    hasBody(req) ||
    (method === 'GET' && /\/v2\/.+\/(?:blobs|manifests|referrers|tags)\//.test(path))
  );
}

/** Milliseconds in which a client has to take a refusal. */
const refusalTime = 1000;

/** Takes a share of what is scarce, until the answer is over. @throws RegistryError TOOMANYREQUESTS */
function admit({ budgets, connections }: GatewayOptions): Step {
  return async (ctx, next) => {
    try {
      connections.assertAdmitted(ctx.req);
    } catch (error) {
      closeAfter(ctx.res);
      throw error;
    }
    const weight = carriesMuch(ctx) ? weightOfLarge : 1;
    const lease = budgets.requests.tryTake(partiesOf(ctx.state.client), weight);
    if (lease === undefined) {
      // It has no share of the memory that an answer keeps which its client does not take.
      if (ctx.res instanceof Http2Response) ctx.res.takenWithin = refusalTime;
      throw budgets.requests.refuse();
    }
    try {
      await next();
    } finally {
      // What goes on though its client has left counts until it is over.
      disposeWithAnswer(ctx.res, lease);
    }
  };
}

const refuseUnwantedBody: Step = async (ctx, next) => {
  assertBodyWanted(ctx);
  await next();
};

/** A browser asks for permission without credentials; `http.headers` holds the answer. */
const answerPreflight: Step = async (ctx, next) => {
  if (ctx.method !== 'OPTIONS') return await next();
  ctx.status = 204;
};

/** Says to a probe that something is here, and to a person with a browser what it is. */
function answerRoot({ prefix }: GatewayOptions): Step {
  return async (ctx, next) => {
    const path = withoutPrefix(ctx.path, prefix);
    if (ctx.path !== '/' && path !== '/' && path !== '') return await next();
    ctx.status = 200;
    ctx.body = '';
    if (ctx.accepts('text/plain', 'text/html') !== 'text/html') return;
    ctx.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'");
    ctx.type = 'html';
    ctx.body = rootPage(ctx.state.publicUrl);
  };
}

/** Routes of which cores are told that we see their tree. */
const treeRoutes: ReadonlySet<RouteId> = new Set([
  'getBlob',
  'getManifest',
  'startUpload',
  'appendUpload',
  'completeUpload',
]);

/** The V2 API: whoever may, by the route table, is sent on to a core. */
function serveRegistry({
  authenticator,
  upstreams,
  proxy,
  prefix,
  tree,
  ...options
}: GatewayOptions): Step {
  return async (ctx) => {
    const path = withoutPrefix(ctx.path, prefix);
    if (path === undefined || !/^\/v2(?:\/|$)/.test(path)) throw new RegistryError('NOT_FOUND');
    ctx.set('Docker-Distribution-API-Version', 'registry/2.0');
    const match = matchRoute(ctx.method, path);
    ctx.state.access.route = match.route.id;
    if (match.params.name !== undefined) ctx.state.access.repository = match.params.name;
    const token = await authenticator?.authenticate(ctx, match);
    assertBodyFits(ctx, match);
    continueIfAsked(ctx);
    const url = `${path}${ctx.search}`;
    const place = tree?.answers.placeFor(ctx, match.route.id, path);
    const kept = place?.find();
    if (tree !== undefined && kept !== undefined && (await sendKept(ctx, kept, tree.files))) return;
    await proxy.forward(ctx, {
      upstream: upstreams.core,
      // An upload's bytes stay with one core, which need not take over what another one has; so do the pages
      // of the catalog, for what one core alone knows of them.
      key: match.params.session ?? (match.route.id === 'catalog' ? 'catalog' : undefined),
      upstreamName: 'storage core',
      url,
      token,
      files: treeRoutes.has(match.route.id) ? tree?.files : undefined,
      mayHoldBody: mayBeWritten(ctx),
      giveUp: (attempt, instance) => options.giveUp({ attempt, match, instance }),
      onAnswer: place?.keep,
      onStatus(status) {
        if (status === 401) authenticator?.challenge(ctx, match, 'invalid_token');
      },
    });
  };
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
