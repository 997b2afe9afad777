import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';
import { clientDrain, closeAfter, endEarly, hasUnreadBody } from '#libs/http/end-early.ts';
import { internalHeaders, namesToStrip } from '#libs/http/internal-headers.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { GatewayContext } from './authenticate.ts';
import { watchIdle } from './watch-idle.ts';

/** Milliseconds; shorter than the upstream's, so that a request never meets a closing connection. */
const agentIdle = 60_000;

export interface ForwardOptions {
  /** The upstream's Unix socket. */
  socketPath: string;
  /** What it is called in an error message. */
  upstream: string;
  /** Path and query the upstream is to see. */
  url: string;
  /** The token the upstream is to see; undefined forwards none, null what the client sent. */
  token: string | undefined | null;
  /** Called with the upstream's status before the headers go out. */
  onStatus?: (status: number) => void;
}

export interface ProxyOptions {
  /** Prepended to the paths in Location and Link. */
  prefix: string;
  /** Milliseconds without a byte after which a transfer is given up. */
  idle: number;
}

/** Hands requests on to our other processes, bodies streamed both ways. */
export interface UpstreamProxy {
  /** Resolves when the exchange is over. @throws RegistryError UNAVAILABLE if there is no answer */
  forward(ctx: GatewayContext, options: ForwardOptions): Promise<void>;
  close(): void;
}

interface Exchange {
  ctx: GatewayContext;
  options: ForwardOptions;
  outgoing?: ClientRequest;
}

export function createProxy({ prefix, idle }: ProxyOptions): UpstreamProxy {
  const agent = new Agent({ keepAlive: true, timeout: agentIdle });
  const proxy = httpProxy.createProxyServer({ agent, selfHandleResponse: true });
  const exchanges = new WeakMap<IncomingMessage, Exchange>();

  proxy.on('proxyReq', (outgoing: ClientRequest, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange !== undefined) exchange.outgoing = outgoing;
    // The upstream may refuse by the headers alone, and must not wait for a slow first byte.
    if (hasUnreadBody(request)) outgoing.flushHeaders();
    // A client that leaves takes its upstream request with it.
    response.once('close', () => outgoing.destroy());
    watchIdle(request, response, outgoing, idle);
  });

  proxy.on('proxyRes', (incoming: IncomingMessage, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) response.destroy();
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

  return {
    async forward(ctx, options) {
      prepare(ctx, options);
      ctx.respond = false;
      // Whoever left while we asked who it is: its body, cut short, must not go on as if it were whole.
      if (ctx.res.closed) return;
      exchanges.set(ctx.req, { ctx, options });
      await new Promise<void>((resolve, reject) => {
        ctx.res.once('close', resolve);
        proxy.web(
          ctx.req,
          ctx.res,
          { target: { socketPath: options.socketPath } as never },
          (cause) => {
            // After the answer began, what became of the request body no longer matters.
            if (ctx.res.headersSent || ctx.res.destroyed || ctx.req.socket.destroyed) return;
            ctx.respond = true;
            reject(
              new RegistryError('UNAVAILABLE', {
                message: `the ${options.upstream} does not answer; try again`,
                retryAfter: 2,
                cause,
              }),
            );
          },
        );
      });
    },
    close: () => agent.destroy(),
  };
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
