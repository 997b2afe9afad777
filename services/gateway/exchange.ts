import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Stream } from 'node:stream';
import httpProxy from 'http-proxy';
import { PieceBuffers, uploadSizes } from '#libs/bodies/piece-buffers.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import { clientDrain, closeAfter, endEarly, hasUnreadBody } from '#libs/http/end-early.ts';
import { fileOfferIn } from '#libs/http/file-offer.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { Instance } from '#libs/internal/instance.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { GatewayContext } from './authenticate.ts';
import type { TreeFiles } from './files/tree-files.ts';
import { type BodyEvents, holdBody, openHeldRequest } from './held-body.ts';
import { pipeAnswer } from './pipe-answer.ts';
import { addPrefix, copyHeaders } from './relayed-headers.ts';
import { type SentBody, sendBody, sendOnceConnected } from './send-body.ts';
import { watchIdle } from './watch-idle.ts';
import { watchInstance } from './watch-instance.ts';

export interface ExchangeOptions {
  ctx: GatewayContext;
  upstream: Upstream;
  instance: Instance;
  /** Names it to the instance. */
  attempt: string;
  /**
   * What the instance may offer instead of the answer's body, or want written instead of the request's; undefined: it is to
   * send and to take the bytes.
   */
  files: TreeFiles | undefined;
  /** Whether the instance may want the body written. */
  mayHoldBody: boolean;
  /** Called with the upstream's status before the headers go out. */
  onStatus: ((status: number) => void) | undefined;
  /** Called with the upstream's answer, before its body is read. */
  onAnswer: ((answer: IncomingMessage) => void) | undefined;
}

/** Why there was no answer. */
export type Failure =
  /** The instance saw nothing of it. */
  | { kind: 'unreached'; cause: Error }
  /** The instance may have seen it, or a part of it. */
  | { kind: 'lost'; cause: Error }
  /** The instance has said itself that it takes nothing any more. */
  | { kind: 'stopping'; cause: Error }
  /**
   * The bytes are to go between us: the instance named a file that cannot be used here, or wants none used. Nothing else
   * became of the request.
   */
  | { kind: 'bytes only'; cause: Error }
  /** The answer cannot be given to this client, whichever instance is asked. */
  | { kind: 'not served'; cause: RegistryError | ClientGoneError };

/** One request at one instance, its body streamed there, the answer streamed back. */
export interface Exchanges {
  /** Resolves when the exchange is over, with the reason if there was no answer. */
  run(options: ExchangeOptions): Promise<Failure | undefined>;
}

interface Exchange extends ExchangeOptions {
  outgoing?: ClientRequest;
  body: SentBody;
  /** True once the instance may have seen something of it. */
  sent: boolean;
  /** Whether the body waits for an order of the instance. */
  isBodyHeld: boolean;
  /** The tree of which the instance may name files. */
  tree: string | undefined;
  /** Settled when nothing is done any more for a client that has left. */
  left?: Promise<void> | undefined;
  stopWatching?: () => void;
  fail(failure: Failure): void;
}

/** Milliseconds for which an instance is not asked again what to do with bodies. */
const askAgainAfter = 60_000;

/**
 * @param prefix prepended to the paths in Location and Link
 * @param idle milliseconds without a byte after which a transfer is given up
 */
export function createExchanges({ prefix, idle }: { prefix: string; idle: number }): Exchanges {
  const proxy = httpProxy.createProxyServer({ selfHandleResponse: true });
  const exchanges = new WeakMap<IncomingMessage, Exchange>();
  const buffers = new PieceBuffers(uploadSizes);
  /** Instances that take bodies only, until when; some may be of an earlier version. */
  const bodiesOnly = new WeakMap<Instance, number>();

  proxy.on('proxyReq', (outgoing: ClientRequest, request) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) outgoing.destroy();
    else begin(exchange, outgoing);
  });

  proxy.on('proxyRes', (incoming: IncomingMessage, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) response.destroy();
    else takeAnswer(exchange, incoming);
  });

  /** By http-proxy, which pipes from anything that has a `pipe`. */
  function openProxied(exchange: Exchange): void {
    const { ctx, body } = exchange;
    const { target, agent } = exchange.instance;
    const pipe = (outgoing: ClientRequest) => {
      sendOnceConnected(body, outgoing);
      return outgoing;
    };
    const options = { target: target as never, agent, buffer: { pipe } as unknown as Stream };
    exchanges.set(ctx.req, exchange);
    proxy.web(ctx.req, ctx.res, options, (cause) => onError(exchange, cause));
  }

  function openHeld(exchange: Exchange): void {
    const outgoing = openHeldRequest(exchange.ctx.req, exchange.instance);
    outgoing.on('error', (cause) => onError(exchange, cause));
    outgoing.once('response', (incoming) => takeAnswer(exchange, incoming));
    begin(exchange, outgoing);
    sendOnceConnected(exchange.body, outgoing);
  }

  /** The request to the instance is there, and nothing of it has gone. */
  function begin(exchange: Exchange, outgoing: ClientRequest): void {
    const { body, instance } = exchange;
    const { req: request, res: response } = exchange.ctx;
    exchange.outgoing = outgoing;
    if (!outgoing.headersSent) addHeaders(exchange, outgoing);
    // The upstream may refuse by the headers alone, and must not wait for a slow first byte.
    if (hasUnreadBody(request)) outgoing.flushHeaders();
    // A client that leaves takes its upstream request with it.
    const leave = () => {
      exchange.left = body.clientLeft(outgoing);
    };
    response.once('close', leave);
    outgoing.once('close', () => response.off('close', leave));
    exchange.stopWatching = watchIdle(request, response, body.isUpstreamBehind, idle);
    watchInstance(instance, outgoing, idle);
  }

  function onError({ ctx: { req, res }, sent, fail }: Exchange, cause: Error): void {
    // After the answer began, what became of the request body no longer matters.
    if (res.headersSent || res.destroyed || req.socket.destroyed) return;
    fail({ kind: sent ? 'lost' : 'unreached', cause });
  }

  function takeAnswer(exchange: Exchange, incoming: IncomingMessage): void {
    const { refused, file } = internalHeaders;
    if (exchange.ctx.res.closed) incoming.resume();
    else if (incoming.statusCode === 417 && exchange.isBodyHeld) sendInstead(exchange);
    else if (incoming.headers[refused] !== undefined) beRefused(exchange);
    else if (incoming.headers[file] !== undefined) void sendOffered(exchange, incoming);
    else relay(exchange, incoming);
  }

  function relay(
    { ctx, outgoing, body, onStatus, onAnswer }: Exchange,
    incoming: IncomingMessage,
  ): void {
    const { req: request, res: response } = ctx;
    const status = incoming.statusCode ?? 502;
    onStatus?.(status);
    onAnswer?.(incoming);
    ctx.status = status;
    copyHeaders(incoming, response);
    addPrefix(response, prefix);
    const early = hasUnreadBody(request);
    if (early) {
      body.unsend();
      closeAfter(response);
    }
    response.flushHeaders();
    // A broken transfer shows as a broken connection, never as an answer that looks whole.
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    response.on('error', () => incoming.destroy());
    pipeAnswer(incoming, response);
    incoming.once('end', () => {
      if (early) {
        // The upstream goes on reading until we hang up, so that its answer is never lost.
        outgoing?.destroy();
        void endEarly(request, response, clientDrain);
      } else response.end();
    });
  }

  /** Answers with the file that the instance offers instead of a body. */
  async function sendOffered(
    { ctx, files, fail, onStatus, onAnswer }: Exchange,
    incoming: IncomingMessage,
  ): Promise<void> {
    incoming.resume();
    try {
      if (files === undefined) throw new Error('it offers a file, and was not asked for one');
      const offer = fileOfferIn(incoming.headers);
      if (offer === undefined) throw new Error('it offers what is no blob');
      const answer = await files.open(offer, ctx);
      await answer.send(ctx.res, () => {
        const status = incoming.statusCode ?? 502;
        onStatus?.(status);
        onAnswer?.(incoming);
        ctx.status = status;
        copyHeaders(incoming, ctx.res);
      });
    } catch (error) {
      const isOurs = error instanceof RegistryError || error instanceof ClientGoneError;
      if (isOurs) fail({ kind: 'not served', cause: error });
      else fail({ kind: 'bytes only', cause: error as Error });
    }
  }

  function mayHoldFor(instance: Instance): boolean {
    return performance.now() >= (bodiesOnly.get(instance) ?? 0);
  }

  /** The instance does not know what we expect, and has taken nothing. */
  function sendInstead({ fail, instance, outgoing }: Exchange): void {
    bodiesOnly.set(instance, performance.now() + askAgainAfter);
    fail({ kind: 'bytes only', cause: new Error('it takes bodies only') });
    outgoing?.destroy();
  }

  function bodyOf({ ctx, files, isBodyHeld }: Omit<Exchange, 'body'>, on: BodyEvents): SentBody {
    if (files === undefined || !isBodyHeld) return sendBody(ctx.req, buffers, on.onSending);
    return holdBody(ctx.req, { buffers, openToWrite: files.openToWrite, ...on });
  }

  return {
    async run(options) {
      const { ctx, instance, files } = options;
      instance.inFlight += 1;
      try {
        return await new Promise<Failure | undefined>((resolve) => {
          // Those who are told later that the answer is over may have something to do yet.
          const over = () => queueMicrotask(() => resolve(exchange.left?.then(() => undefined)));
          ctx.res.once('close', over);
          const mayHold = options.mayHoldBody && mayHoldFor(instance);
          const treeToWrite = mayHold ? files?.nameFor(instance, 'write') : undefined;
          const unsent = {
            ...options,
            sent: false,
            isBodyHeld: treeToWrite !== undefined,
            tree: treeToWrite ?? files?.nameFor(instance, 'read'),
            fail(failure: Failure) {
              ctx.res.off('close', over);
              exchange.stopWatching?.();
              resolve(failure);
            },
          };
          const body = bodyOf(unsent, {
            onSending() {
              exchange.sent = true;
            },
            onUnwritable: (cause) => exchange.fail({ kind: 'bytes only', cause }),
          });
          const exchange: Exchange = { ...unsent, body };
          if (exchange.isBodyHeld) openHeld(exchange);
          else openProxied(exchange);
        });
      } finally {
        instance.inFlight -= 1;
      }
    },
  };
}

/** The instance says that it takes nothing of it, since it stops. */
function beRefused({ ctx, fail, outgoing }: Exchange): void {
  fail({ kind: 'stopping', cause: new Error('it is stopping') });
  ctx.req.unpipe();
  outgoing?.destroy();
}

/** What the instance is told by us, and by us only. */
function addHeaders(exchange: Exchange, outgoing: ClientRequest): void {
  const { attempt, tree } = exchange;
  outgoing.setHeader(internalHeaders.attempt, attempt);
  if (tree !== undefined) outgoing.setHeader(internalHeaders.tree, tree);
  sign(exchange, outgoing);
}

/** Shows the instance that we are one of its own. */
function sign({ upstream, ctx }: Exchange, outgoing: ClientRequest): void {
  if (upstream.signer === undefined) return;
  const { method, path: url } = outgoing;
  const signature = upstream.signer.sign({ method, url, headers: ctx.req.headers });
  outgoing.setHeader(internalHeaders.signature, signature);
}
