import type { RequestListener, Server } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { Http2Request, Http2Response } from '#libs/http/http2-messages.ts';
import { serverOptions } from '#libs/http/serve.ts';
import { endIdle, type IdleTimes } from './end-idle.ts';
import { limitPieces } from './limit-pieces.ts';
import { type SharedStreams, shareStreams } from './share-streams.ts';

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

export interface Http2Options extends IdleTimes {
  tls: SecureContextOptions;
  /** Milliseconds for a TLS handshake. */
  handshake: number;
  /** Shares out streams: each keeps memory from when it is opened, served or not. */
  streams: SharedStreams;
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
    limitPieces(session);
    endIdle(session, options);
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
