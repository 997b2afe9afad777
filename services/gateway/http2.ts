import type { RequestListener, Server } from 'node:http';
import {
  constants,
  createSecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { Http2Request, Http2Response } from '#libs/http/http2-messages.ts';
import { serverOptions } from '#libs/http/serve.ts';
import { countPieces } from '#libs/http/small-pieces.ts';
import type { Budget } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';

const MiB = 1024 * 1024;

/** What a client may send of one body before we have read any of it; one upload, one stream. */
const streamWindow = MiB / 2;
/** The same for all bodies of a connection together. */
const sessionWindow = 2 * MiB;

/**
 * Node and nghttp2 end a session by themselves for a flood of SETTINGS or PING frames (1000 answers not
 * taken), of CONTINUATION frames, and of invalid frames (1000); what can be set of that kind is set here.
 */
const limits = {
  settings: {
    initialWindowSize: streamWindow,
    maxConcurrentStreams: 100,
    // As HTTP/1.1 has it; more of them resets the stream.
    maxHeaderListSize: 16 * 1024,
    enablePush: false,
  },
  // Streams that a client opens and resets: so many at once, and so many a second from then on.
  streamResetBurst: 1000,
  streamResetRate: 33,
  // Streams beyond the hundred, after which the session is ended.
  maxSessionRejectedStreams: 100,
  maxSessionInvalidFrames: 1000,
  // MiB of a session's frames and headers; new streams are refused while there is more.
  maxSessionMemory: 64,
} as const;

export interface Http2Options {
  tls: SecureContextOptions;
  /** Milliseconds for a TLS handshake. */
  handshake: number;
  /** Milliseconds for the first request of a session to arrive. */
  headersTimeout: number;
  /** Milliseconds a session without a stream is kept. */
  keepAlive: number;
  /** Milliseconds for what is left of a stream when its answer is complete. */
  idle: number;
  /** Shares out streams: each keeps memory from when it is opened, served or not. */
  streams: Pick<Budget, 'tryTake' | 'countRefused'>;
}

/**
 * A server of HTTP/2 and, on the same port, HTTP/1.1, as the client chooses by ALPN. It has of
 * `http.Server` what a caller that listens, drains and sets HTTP/1.1's timeouts needs.
 */
export function createHttp2Server(options: Http2Options, listener: RequestListener): Server {
  const server = createSecureServer({
    ...serverOptions,
    ...limits,
    ...options.tls,
    handshakeTimeout: options.handshake,
    noDelay: true,
    allowHTTP1: true,
    // A header may be configured with several values.
    strictSingleValueFields: false,
    Http1IncomingMessage: serverOptions.IncomingMessage,
    Http1ServerResponse: serverOptions.ServerResponse,
    Http2ServerRequest: Http2Request,
    Http2ServerResponse: Http2Response as never,
  });
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    session.setLocalWindowSize(sessionWindow);
    shareStreams(session, options.streams);
    limitSession(session, options);
    // Its handshake was under way when the server was closed, and nothing else would tell it.
    if (!server.listening) session.close();
  });
  server.on('request', listener as never);
  // Left alone, Node would ask for the body before anybody looked at the credentials.
  server.on('checkContinue', listener as never);
  return Object.assign(server as unknown as Server, {
    closeAllConnections() {
      for (const socket of sockets) socket.destroy();
    },
  });
}

/** Resets streams for which there is no share, before anything is made of them. */
function shareStreams(session: ServerHttp2Session, streams: Http2Options['streams']): void {
  const parties = partiesOf(session.socket.remoteAddress ?? '');
  // Before Node makes a request of it.
  session.prependListener('stream', (stream) => {
    const lease = streams.tryTake(parties, 1);
    if (lease !== undefined) {
      stream.once('close', () => lease[Symbol.dispose]());
      return;
    }
    streams.countRefused();
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
}

/** Ends what no request of HTTP/2 is behind: sessions without a stream, streams without an end. */
function limitSession(
  session: ServerHttp2Session,
  { headersTimeout, keepAlive, idle }: Http2Options,
): void {
  let open = 0;
  let timer: NodeJS.Timeout;
  const endAfter = (time: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      session.close();
      // A peer that does not take the GOAWAY would keep what cannot be sent to it.
      timer = setTimeout(() => session.destroy(), headersTimeout);
    }, time);
  };

  const count = countPieces(() => {
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  });

  session.on('stream', (stream) => {
    open += 1;
    watchFrames(stream, count);
    clearTimeout(timer);
    stream.once('close', () => {
      open -= 1;
      if (open === 0 && !session.destroyed) endAfter(keepAlive);
    });
    // As long as its answer is not complete, the proxy's watch judges it.
    const watch = () => {
      if (stream.headersSent && stream.writableEnded) {
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      } else stream.setTimeout(idle, watch);
    };
    stream.setTimeout(idle, watch);
  });
  session.once('close', () => clearTimeout(timer));
  endAfter(headersTimeout);
}

/**
 * Frames come to the stream before anybody reads it: no event tells of them. The first of each body is not counted: many
 * small bodies are not one in many pieces.
 */
function watchFrames(stream: ServerHttp2Stream, count: (bytes: number) => void): void {
  const push = stream.push.bind(stream);
  let isFirst = true;
  stream.push = (chunk: Buffer | null, ...rest: []) => {
    if (chunk !== null && !isFirst) count(chunk.length);
    isFirst = false;
    return push(chunk, ...rest);
  };
}
