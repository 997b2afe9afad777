import type { IncomingMessage } from 'node:http';
import { hasBody } from '#libs/http/body.ts';
import { ClientGoneError, whileClientWaits } from '#libs/http/client-gone.ts';
import { internalHeaders, namesToStrip } from '#libs/http/internal-headers.ts';
import { internalProtocol } from '#libs/http/internal-protocol.ts';
import { inOrder } from '#libs/internal/choose.ts';
import type { Instance } from '#libs/internal/instance.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { letAllArrive } from '#libs/process/let-all-arrive.ts';
import type { GatewayContext } from './authenticate.ts';
import { createExchanges, type Failure } from './exchange.ts';
import type { TreeFiles } from './files/tree-files.ts';

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
  /** What instances may offer instead of the answer's body, or want written; without it they send and take the bytes. */
  files?: TreeFiles | undefined;
  /** Whether instances may want the body of the request written to a file. */
  mayHoldBody?: boolean;
  /** Called with the upstream's status before the headers go out. */
  onStatus?: (status: number) => void;
  /** Called with the upstream's answer, before its body is read. */
  onAnswer?: ((answer: IncomingMessage) => void) | undefined;
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

export function createProxy({ prefix, idle, nameAttempt }: ProxyOptions): UpstreamProxy {
  const exchanges = createExchanges({ prefix, idle });

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
        const { onStatus, onAnswer } = options;
        const mayHoldBody = options.mayHoldBody === true;
        const exchange = { ctx, upstream, instance, attempt, mayHoldBody, onStatus, onAnswer };
        let failure = await exchanges.run({ ...exchange, files: options.files });
        if (failure?.kind === 'bytes only' && !ctx.res.closed) {
          // A collection took it away, or what is there is not ours to read: the core knows what to do.
          ctx.state.log.debug(
            { err: failure.cause },
            'the core is asked again, for bytes and not for a file',
          );
          failure = await exchanges.run({ ...exchange, files: undefined });
        }
        if (failure === undefined || ctx.res.closed) return;
        if (failure.kind === 'not served') return refuse(ctx, failure.cause);
        cause = failure.cause;
        // What ended one process may be the request itself.
        if (failure.kind === 'lost') lost += 1;
        // It is well: what it has to say is too long, and would be from any other one.
        if ((cause as NodeJS.ErrnoException).code === 'HPE_HEADER_OVERFLOW') break;
        upstream.instances.eject(instance, cause);
        if (isRepeatable(failure, ctx) && lost <= maxRepeats) continue;
        if (failure.kind === 'stopping') break;
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

/** Whether another instance may be asked. */
function isRepeatable({ kind }: Failure, ctx: GatewayContext): boolean {
  if (kind === 'stopping') return !hasBody(ctx.req);
  return kind === 'unreached' || isHarmless(ctx);
}

/** @throws the reason, unless it is that the client has left */
function refuse(ctx: GatewayContext, cause: RegistryError | ClientGoneError): void {
  if (cause instanceof ClientGoneError) {
    ctx.res.destroy();
    return;
  }
  ctx.respond = true;
  throw cause;
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
