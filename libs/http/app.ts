import { randomUUID } from 'node:crypto';
import Koa, { type Context } from 'koa';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { ClientGoneError, whenAnswered } from './client-gone.ts';
import {
  clientDrain,
  closeAfter,
  type DrainLimits,
  endEarly,
  gatewayDrain,
  hasUnreadBody,
} from './end-early.ts';
import { internalHeaders } from './internal-headers.ts';
import { assertSpoken } from './internal-protocol.ts';
import { measureRequests } from './measure-requests.ts';
import type { PeerCheck } from './peer-check.ts';
import { type ProcessStatus, serveProcessStatus } from './process-status.ts';
import { probes, type Readiness } from './readiness.ts';
import { renderError } from './render-error.ts';

/** What every request carries through our middleware. */
export interface RequestState {
  requestId: string;
  log: Logger;
  /** The peer as the gateway saw it. */
  client: string;
  /** True for a request of one of our own processes. */
  trusted: boolean;
  /** Set for a request target that cannot be read; it is refused. */
  malformed: boolean;
  /** Filled in on the way, for the access line. */
  access: { route?: string; repository?: string; subject?: string };
}

export interface AppOptions {
  log: Logger;
  /** Whether a request comes from one of our own processes. */
  checkPeer: PeerCheck;
  /** Level of the one line written for each request; undefined writes none. */
  accessLog?: 'info' | 'debug';
  /** Whether requests are measured under distribution's names as well. */
  asDistribution?: boolean;
  /** What `/healthz` and `/readyz` tell. */
  readiness: Readiness;
  /** What it tells of itself; without it nothing is measured. */
  processStatus?: ProcessStatus | undefined;
  /** Turns errors of the layers below into ones a client may see; returns others as they are. */
  translate?: (error: unknown) => unknown;
}

/** A koa application with what all our processes share: request id, access line, error rendering. */
export function createApp({
  log,
  checkPeer,
  accessLog,
  asDistribution = false,
  readiness,
  processStatus,
  translate,
}: AppOptions): Koa<RequestState> {
  const app = new Koa<RequestState>();
  app.silent = true;
  app.on('error', (error: unknown) => log.debug({ err: error }, 'response failed'));

  app.use(probes(readiness));
  if (processStatus !== undefined) app.use(serveProcessStatus(processStatus, checkPeer));
  app.use(async (ctx, next) => {
    // Who comes again comes by a new connection, which a balancer gives to another one.
    if (readiness.draining) ctx.res.shouldKeepAlive = false;
    await next();
    if (readiness.draining && !ctx.res.headersSent) ctx.res.shouldKeepAlive = false;
  });
  app.use(async (ctx, next) => {
    // Before the target is touched: the proof covers it.
    const trusted = checkPeer(ctx.req);
    const malformed = !hasReadableTarget(ctx);
    // Whoever looks at the target from here on finds one that can be read.
    if (malformed) ctx.req.url = '/';
    const given = trusted ? ctx.get(internalHeaders.requestId) : '';
    const requestId = given === '' ? randomUUID() : given;
    const client = trusted ? ctx.get(internalHeaders.clientAddress) : '';
    ctx.state = {
      requestId,
      log: log.child({ requestId }),
      client: client === '' ? (ctx.req.socket.remoteAddress ?? '') : client,
      access: {},
      malformed,
      trusted,
    };
    if (accessLog !== undefined) logAccess(ctx, accessLog);
    await next();
  });
  if (processStatus?.metrics !== undefined) {
    app.use(
      measureRequests(processStatus.metrics, (ctx) => (ctx.state as RequestState).access.route, {
        asDistribution,
      }),
    );
  }

  app.use(async (ctx, next) => {
    try {
      if (ctx.state.malformed) {
        throw new RegistryError('REQUEST_INVALID', { message: 'the request target is not a path' });
      }
      if (ctx.state.trusted) assertSpoken(ctx.req.headers);
      await next();
    } catch (error) {
      showError(ctx, translate === undefined ? error : translate(error));
    }
    if (ctx.respond !== false && hasUnreadBody(ctx.req)) {
      await answerEarly(ctx, ctx.state.trusted ? gatewayDrain : clientDrain);
    }
  });
  return app;
}

function hasReadableTarget(ctx: Context): boolean {
  try {
    return typeof ctx.path === 'string' && typeof ctx.querystring === 'string';
  } catch {
    return false;
  }
}

/** Characters of what a client says in its access line: more than any path of ours, or client's name, has. */
const longest = { path: 1000, userAgent: 300 };

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}

function logAccess(ctx: Context, level: 'info' | 'debug'): void {
  const started = performance.now();
  const { method, path } = ctx;
  whenAnswered(ctx.res, () => {
    const { access, client, log } = ctx.state as RequestState;
    log[level](
      {
        method,
        path: shorten(path, longest.path),
        status: ctx.res.statusCode,
        bytes: Number(ctx.res.getHeader('content-length') ?? 0),
        durationMs: Math.round(performance.now() - started),
        client,
        ...access,
        ...(ctx.res.writableFinished ? {} : { aborted: true }),
        userAgent: shorten(ctx.get('user-agent'), longest.userAgent),
      },
      'request',
    );
  });
}

/** What may have been said of content by the time that it could not be sent; caches believe it whatever the status. */
const ofContent = [
  'Accept-Ranges',
  'Cache-Control',
  'Docker-Content-Digest',
  'ETag',
  'Link',
  'OCI-Filters-Applied',
] as const;

function showError(ctx: Context, error: unknown): void {
  const { log } = ctx.state as RequestState;
  if (error instanceof ClientGoneError) {
    log.debug(error.message);
    ctx.respond = false;
    ctx.res.destroy();
    return;
  }
  if (!(error instanceof RegistryError)) log.error({ err: error }, 'request failed');
  else if (error.status >= 500) {
    log[error.isLogged ? 'debug' : 'warn']({ err: error.cause ?? error }, error.message);
  }
  if (ctx.headerSent) {
    ctx.res.destroy();
    return;
  }
  const { status, headers, body } = renderError(error);
  for (const name of ofContent) ctx.remove(name);
  ctx.status = status;
  for (const [name, value] of Object.entries(headers)) ctx.set(name, String(value));
  ctx.body = body;
}

async function answerEarly(ctx: Context, limits: DrainLimits): Promise<void> {
  ctx.respond = false;
  const { res, req } = ctx;
  const body = typeof ctx.body === 'string' ? ctx.body : '';
  res.setHeader('Content-Length', Buffer.byteLength(body));
  closeAfter(res);
  // A HEAD sends no body, and without one nothing else would send the headers now.
  if (body === '' || ctx.method === 'HEAD') res.flushHeaders();
  else res.write(body);
  await endEarly(req, res, limits);
}
