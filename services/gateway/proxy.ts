import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';
import { hasBody } from '#libs/http/body.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { clientDrain, closeAfter, endEarly, hasUnreadBody } from '#libs/http/end-early.ts';
import { internalHeaders, namesToStrip } from '#libs/http/internal-headers.ts';
import { internalProtocol } from '#libs/http/internal-protocol.ts';
import { inOrder } from '#libs/internal/choose.ts';
import type { Instance } from '#libs/internal/instance.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { letAllArrive } from '#libs/process/let-all-arrive.ts';
import type { GatewayContext } from './authenticate.ts';
import { sendBody } from './send-body.ts';
import { watchIdle } from './watch-idle.ts';

/** Instances that are tried for one request. */
const maxAttempts = 3;
/** How often a request is sent again that an instance may have seen. */
const maxRepeats = 1;

export interface ForwardOptions {
  /** The way to the processes that can serve it. */
  upstream: Upstream;
  /** What should stay with one instance, such as an upload's id. */
  key?: string | undefined;
  /** What it is called in an error message. */
  upstreamName: string;
  /** Path and query the upstream is to see. */
  url: string;
  /** The token the upstream is to see; undefined forwards none, null what the client sent. */
  token: string | undefined | null;
  /** Called with the upstream's status before the headers go out. */
  onStatus?: (status: number) => void;
  /**
   * Called when a request that may change something got no answer, before its client is told that nothing was
   * done. @returns false if it may be done yet
   */
  giveUp?: (attempt: string, instance: Instance) => Promise<boolean>;
}

export interface ProxyOptions {
  /** Prepended to the paths in Location and Link. */
  prefix: string;
  /** Milliseconds without a byte after which a transfer is given up. */
  idle: number;
  /** A new name for each attempt; see {@link internalHeaders}. */
  nameAttempt: () => string;
}

/** Hands requests on to our other processes, bodies streamed both ways. */
export interface UpstreamProxy {
  /**
   * Resolves when the exchange is over. What never left us is tried with the next instance; of what did,
   * only GET and HEAD, once: a body is never sent in two halves. Where it cannot be known what becomes of a
   * change, the connection breaks, as if the answer had been lost.
   * @throws RegistryError UNAVAILABLE if there is no answer, and nothing was done
   */
  forward(ctx: GatewayContext, options: ForwardOptions): Promise<void>;
}

/** One request at one instance. */
interface Exchange {
  ctx: GatewayContext;
  options: ForwardOptions;
  instance: Instance;
  /** Names it to the instance. */
  attempt: string;
  outgoing?: ClientRequest;
  /** True once the instance may have seen something of it. */
  sent: boolean;
  stopWatching?: () => void;
  /** Called when the instance says that it takes nothing of it. */
  onRefused?: () => void;
}

/** Why there was no answer, and whether another instance may be asked. */
interface Failure {
  cause: Error;
  repeatable: boolean;
  /** Whether the instance has said itself that it took nothing. */
  refused?: boolean;
}

export function createProxy({ prefix, idle, nameAttempt }: ProxyOptions): UpstreamProxy {
  const proxy = httpProxy.createProxyServer({ selfHandleResponse: true });
  const exchanges = new WeakMap<IncomingMessage, Exchange>();

  proxy.on('proxyReq', (outgoing: ClientRequest, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) {
      outgoing.destroy();
      return;
    }
    exchange.outgoing = outgoing;
    if (!outgoing.headersSent) outgoing.setHeader(internalHeaders.attempt, exchange.attempt);
    sign(exchange, outgoing);
    // The upstream may refuse by the headers alone, and must not wait for a slow first byte.
    if (hasUnreadBody(request)) outgoing.flushHeaders();
    // A client that leaves takes its upstream request with it.
    const leave = () => outgoing.destroy();
    response.once('close', leave);
    outgoing.once('close', () => response.off('close', leave));
    exchange.stopWatching = watchIdle(request, response, outgoing, idle);
    watchInstance(exchange.instance, outgoing, idle);
  });

  proxy.on('proxyRes', (incoming: IncomingMessage, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) response.destroy();
    else if (incoming.headers[internalHeaders.refused] !== undefined) exchange.onRefused?.();
    else relay(exchange, incoming, request, response);
  });

  function relay(
    { ctx, options, outgoing }: Exchange,
    incoming: IncomingMessage,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const status = incoming.statusCode ?? 502;
    options.onStatus?.(status);
    ctx.status = status;
    copyHeaders(incoming, response);
    addPrefix(response, prefix);
    const early = hasUnreadBody(request);
    if (early) {
      request.unpipe();
      closeAfter(response);
    }
    response.flushHeaders();
    // A broken transfer shows as a broken connection, never as an answer that looks whole.
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    response.on('error', () => incoming.destroy());
    incoming.pipe(response, { end: false });
    incoming.once('end', () => {
      if (early) {
        // The upstream goes on reading until we hang up, so that its answer is never lost.
        outgoing?.destroy();
        void endEarly(request, response, clientDrain);
      } else response.end();
    });
  }

  /** Resolves when the exchange is over, with the reason if there was no answer. */
  async function run(exchange: Exchange): Promise<Failure | undefined> {
    const { ctx, instance } = exchange;
    exchanges.set(ctx.req, exchange);
    instance.inFlight += 1;
    try {
      return await new Promise<Failure | undefined>((resolve) => {
        const over = () => resolve(undefined);
        ctx.res.once('close', over);
        const isWhole = !hasBody(ctx.req);
        const fail = (failure: Failure) => {
          ctx.res.off('close', over);
          exchange.stopWatching?.();
          resolve(failure);
        };
        exchange.onRefused = () => {
          fail({ cause: new Error('it is stopping'), repeatable: isWhole, refused: true });
          ctx.req.unpipe();
          exchange.outgoing?.destroy();
        };
        const body = sendBody(ctx.req, () => {
          exchange.sent = true;
        });
        const { target, agent } = instance;
        proxy.web(ctx.req, ctx.res, { target: target as never, agent, buffer: body }, (cause) => {
          // After the answer began, what became of the request body no longer matters.
          if (ctx.res.headersSent || ctx.res.destroyed || ctx.req.socket.destroyed) return;
          fail({ cause, repeatable: isHarmless(ctx) || !exchange.sent });
        });
      });
    } finally {
      instance.inFlight -= 1;
    }
  }

  return {
    async forward(ctx, options) {
      const { upstream, key, upstreamName } = options;
      prepare(ctx, options);
      ctx.respond = false;
      // Whoever left while we asked who it is, or were held up: its body, cut short, must not go on as if it were whole, and
      // what it asked for must not happen behind what it did next.
      const client = whileClientWaits(ctx.res);
      if (!isHarmless(ctx)) await letAllArrive();
      if (ctx.res.closed || client.aborted) return;
      const [first, ...others] = inOrder(upstream.instances.all(), key);
      let cause = new Error('its name does not resolve');
      // A single one may have closed the very connection that we chose.
      const candidates =
        first === undefined ? [] : [first, ...(others.length > 0 ? others : [first])];
      let lost = 0;
      for (const instance of candidates.slice(0, maxAttempts)) {
        const attempt = nameAttempt();
        const exchange: Exchange = { ctx, options, instance, attempt, sent: false };
        const failure = await run(exchange);
        if (failure === undefined || ctx.res.closed) return;
        cause = failure.cause;
        // What ended one process may be the request itself.
        if (exchange.sent && failure.refused !== true) lost += 1;
        // It is well: what it has to say is too long, and would be from any other one.
        if ((cause as NodeJS.ErrnoException).code === 'HPE_HEADER_OVERFLOW') break;
        upstream.instances.eject(instance, cause);
        if (failure.repeatable && lost <= maxRepeats) continue;
        if (failure.refused === true) break;
        if ((await options.giveUp?.(attempt, instance)) !== false) break;
        ctx.state.log.warn({ err: cause }, `the ${upstreamName} may still carry out the request`);
        ctx.res.destroy();
        return;
      }
      ctx.respond = true;
      throw new RegistryError('UNAVAILABLE', {
        message: `the ${upstreamName} does not answer; try again`,
        retryAfter: 2,
        cause,
      });
    },
  };
}

/** Whether a request changes nothing, so that it may be carried out late, or twice. */
function isHarmless({ method }: GatewayContext): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Shows the instance that we are one of its own. */
function sign({ options: { upstream }, ctx }: Exchange, outgoing: ClientRequest): void {
  if (upstream.signer === undefined || outgoing.headersSent) return;
  const { method, path: url } = outgoing;
  const signature = upstream.signer.sign({ method, url, headers: ctx.req.headers });
  outgoing.setHeader(internalHeaders.signature, signature);
}

/**
 * Gives up what an instance keeps waiting that stopped answering altogether: at once where it has said
 * nothing yet, else when nothing comes for `idle` milliseconds.
 */
function watchInstance({ down }: Instance, outgoing: ClientRequest, idle: number): void {
  let answering: IncomingMessage | undefined;
  let timer: NodeJS.Timeout | undefined;
  const giveUp = () => outgoing.destroy(new Error('it stopped answering'));
  const onDown = () => {
    if (answering === undefined) giveUp();
    else timer = setTimeout(giveUp, idle);
  };
  outgoing.once('response', (incoming) => {
    answering = incoming;
    incoming.on('data', () => timer?.refresh());
  });
  down.signal.addEventListener('abort', onDown, { once: true });
  if (down.signal.aborted) onDown();
  outgoing.once('close', () => {
    clearTimeout(timer);
    down.signal.removeEventListener('abort', onDown);
  });
}

/** Makes the request what the upstream is to see. */
function prepare({ req, state }: GatewayContext, { url, token }: ForwardOptions): void {
  for (const name of namesToStrip(req.headers)) {
    // The body goes on framed as it came.
    if (name !== 'transfer-encoding') delete req.headers[name];
  }
  delete req.headers.expect;
  delete req.headers.cookie;
  req.url = url;
  req.headers[internalHeaders.requestId] = state.requestId;
  req.headers[internalHeaders.clientAddress] = state.client;
  req.headers[internalHeaders.protocol] = String(internalProtocol.newest);
  if (token === null) return;
  if (token === undefined) delete req.headers.authorization;
  else req.headers.authorization = `Bearer ${token}`;
}

/** The upstream's headers as it spelt them, without its connection's own and without internal ones. */
function copyHeaders(incoming: IncomingMessage, response: ServerResponse): void {
  const strip = new Set([...namesToStrip(incoming.headers), internalHeaders.requestId]);
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index] ?? '';
    const value = incoming.headers[name.toLowerCase()];
    if (!strip.has(name.toLowerCase()) && value !== undefined) response.setHeader(name, value);
  }
}

/** The upstream knows no prefix; the paths it answers with are the client's only with it. */
function addPrefix(response: ServerResponse, prefix: string): void {
  if (prefix === '') return;
  const location = response.getHeader('location');
  if (typeof location === 'string' && location.startsWith('/')) {
    response.setHeader('Location', prefix + location);
  }
  const link = response.getHeader('link');
  if (typeof link === 'string') response.setHeader('Link', link.replace(/^<\//, `<${prefix}/`));
}
