import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';
import { freePiecesAfter } from '#libs/bodies/free-pieces.ts';
import { batchSizes, PieceBuffers } from '#libs/bodies/piece-buffers.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import { clientDrain, closeAfter, endEarly, hasUnreadBody } from '#libs/http/end-early.ts';
import { fileOfferIn } from '#libs/http/file-offer.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { Instance } from '#libs/internal/instance.ts';
import type { Upstream } from '#libs/internal/open-upstream.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { GatewayContext } from './authenticate.ts';
import type { TreeFiles } from './files/tree-files.ts';
import { holdBody } from './hold-body.ts';
import { addPrefix, headersToRelay } from './relayed-headers.ts';
import { type SentBody, sendBody } from './send-body.ts';
import { watchIdle } from './watch-idle.ts';

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
  body?: SentBody;
  /** True once the instance may have seen something of it. */
  sent: boolean;
  /** Whether the body waits for an order of the instance. */
  isBodyHeld: boolean;
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
  const buffers = new PieceBuffers(batchSizes);
  /** Instances that take bodies only, until when; some may be of an earlier version. */
  const bodiesOnly = new WeakMap<Instance, number>();

  proxy.on('proxyReq', (outgoing: ClientRequest, request, response) => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) {
      outgoing.destroy();
      return;
    }
    exchange.outgoing = outgoing;
    if (!outgoing.headersSent) addHeaders(exchange, outgoing);
    // The upstream may refuse by the headers alone, and must not wait for a slow first byte.
    if (hasUnreadBody(request)) outgoing.flushHeaders();
    // A client that leaves takes its upstream request with it.
    const leave = () => {
      exchange.left = exchange.body?.clientLeft(outgoing);
    };
    response.once('close', leave);
    outgoing.once('close', () => response.off('close', leave));
    const isUpstreamBehind = () => exchange.body?.isUpstreamBehind() === true;
    exchange.stopWatching = watchIdle(request, response, isUpstreamBehind, idle);
    watchInstance(exchange.instance, outgoing, idle);
  });

  proxy.on('proxyRes', (incoming: IncomingMessage, request, response) => {
    const exchange = exchanges.get(request);
    const { refused, file } = internalHeaders;
    if (exchange === undefined) response.destroy();
    else if (response.closed) incoming.resume();
    else if (incoming.statusCode === 417 && exchange.isBodyHeld) sendInstead(exchange);
    else if (incoming.headers[refused] !== undefined) beRefused(exchange);
    else if (incoming.headers[file] !== undefined) void sendOffered(exchange, incoming, response);
    else relay(exchange, incoming, request, response);
  });

  function relay(
    { ctx, outgoing, body, onStatus, onAnswer }: Exchange,
    incoming: IncomingMessage,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const status = incoming.statusCode ?? 502;
    onStatus?.(status);
    onAnswer?.(incoming);
    ctx.status = status;
    copyHeaders(incoming, response);
    addPrefix(response, prefix);
    const early = hasUnreadBody(request);
    if (early) {
      body?.unsend();
      closeAfter(response);
    }
    response.flushHeaders();
    // A broken transfer shows as a broken connection, never as an answer that looks whole.
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    response.on('error', () => incoming.destroy());
    incoming.on('data', (chunk: Buffer) => freePiecesAfter(chunk.length));
    incoming.pipe(response, { end: false });
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
    response: ServerResponse,
  ): Promise<void> {
    incoming.resume();
    try {
      if (files === undefined) throw new Error('it offers a file, and was not asked for one');
      const offer = fileOfferIn(incoming.headers);
      if (offer === undefined) throw new Error('it offers what is no blob');
      const answer = await files.open(offer, ctx);
      await answer.send(response, () => {
        const status = incoming.statusCode ?? 502;
        onStatus?.(status);
        onAnswer?.(incoming);
        ctx.status = status;
        copyHeaders(incoming, response);
      });
    } catch (error) {
      const isOurs = error instanceof RegistryError || error instanceof ClientGoneError;
      if (isOurs) fail({ kind: 'not served', cause: error });
      else fail({ kind: 'bytes only', cause: error as Error });
    }
  }

  function mayHold(instance: Instance): boolean {
    return performance.now() >= (bodiesOnly.get(instance) ?? 0);
  }

  /** The instance does not know what we expect, and has taken nothing. */
  function sendInstead({ fail, instance, outgoing }: Exchange): void {
    bodiesOnly.set(instance, performance.now() + askAgainAfter);
    fail({ kind: 'bytes only', cause: new Error('it takes bodies only') });
    outgoing?.destroy();
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
          const exchange: Exchange = {
            ...options,
            sent: false,
            isBodyHeld:
              options.mayHoldBody &&
              mayHold(instance) &&
              files?.nameFor(instance, 'write') !== undefined,
            fail(failure) {
              ctx.res.off('close', over);
              exchange.stopWatching?.();
              resolve(failure);
            },
          };
          exchanges.set(ctx.req, exchange);
          const onSending = () => {
            exchange.sent = true;
          };
          exchange.body =
            files === undefined || !exchange.isBodyHeld
              ? sendBody(ctx.req, buffers, onSending)
              : holdBody(ctx.req, {
                  buffers,
                  openToWrite: files.openToWrite,
                  onSending,
                  onUnwritable: (cause) => exchange.fail({ kind: 'bytes only', cause }),
                });
          const { target, agent } = instance;
          const how = { target: target as never, agent, buffer: exchange.body.stream };
          proxy.web(ctx.req, ctx.res, how, (cause) => {
            // After the answer began, what became of the request body no longer matters.
            if (ctx.res.headersSent || ctx.res.destroyed || ctx.req.socket.destroyed) return;
            exchange.fail({ kind: exchange.sent ? 'lost' : 'unreached', cause });
          });
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
  const { attempt, files, instance } = exchange;
  outgoing.setHeader(internalHeaders.attempt, attempt);
  const tree = files?.nameFor(instance, exchange.isBodyHeld ? 'write' : 'read');
  if (tree !== undefined) outgoing.setHeader(internalHeaders.tree, tree);
  exchange.body?.describe(outgoing);
  sign(exchange, outgoing);
}

/** Shows the instance that we are one of its own. */
function sign({ upstream, ctx }: Exchange, outgoing: ClientRequest): void {
  if (upstream.signer === undefined) return;
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

function copyHeaders(incoming: IncomingMessage, response: ServerResponse): void {
  for (const [name, value] of headersToRelay(incoming)) response.setHeader(name, value);
}
