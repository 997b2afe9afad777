import { AssertionError } from 'node:assert';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import {
  type AddressInfo,
  createServer as createNetServer,
  type Server,
  type Socket,
} from 'node:net';
import { join } from 'node:path';
import type { InternalAddress } from '#libs/internal/address.ts';
import { createTemporaryFolder, type TemporaryFolder } from './temporary-folder.ts';

/** A request as it came to a peer. */
export interface SeenRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingHttpHeaders;
  /** Bytes of the body that were read so far. */
  body(): Buffer;
  /** Resolves with the whole body; rejects when it breaks off. */
  whole: Promise<Buffer>;
  /** Resolves when the request's connection is gone, or its answer is out. */
  closed: Promise<void>;
  /** True once the one who asked has hung up before there was a whole answer. */
  abandoned(): boolean;
}

/** What a peer does with one request. */
export type Act = (request: SeenRequest, io: PeerIo) => void | Promise<void>;

/** The request and the answer themselves. */
export interface PeerIo {
  request: IncomingMessage;
  response: ServerResponse;
}

/**
 * One of our processes as a test directs it: a real HTTP server that meets each request as it is told.
 * It is no mock of a port: everything between it and the caller is the real thing.
 */
export interface ScriptedPeer {
  address: InternalAddress;
  /** From now on it knows what gateways expect that hold a body; a request with such an expectation is 417 before. */
  knowDelegation(): void;
  /** Requests that got 417 so far; they are none of `requests`. */
  refusedExpectations(): number;
  /** All requests but `/readyz`, in the order they came. */
  requests: readonly SeenRequest[];
  /** Meets the requests to come, one act each; after them, whoever comes meets `otherwise`. */
  next(...acts: Act[]): void;
  otherwise(act: Act): void;
  /** Resolves with the nth request, from 0, when it is there. */
  request(index: number): Promise<SeenRequest>;
  /** Connections to it now. */
  connections(): number;
  /** Breaks all connections and accepts no more, as a process that was killed. */
  stop(): Promise<void>;
  /** Serves again where it did. */
  start(): Promise<void>;
  /** @throws AssertionError that an act threw */
  close(): Promise<void>;
}

/** Answers whole. The body of the request is read first, as our processes do. */
export function answer(
  status: number,
  body: Buffer | string = '',
  headers: Record<string, string | string[]> = {},
): Act {
  return async (seen, { response }) => {
    await seen.whole;
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers });
    response.end(body);
  };
}

/** Answers whole by the headers alone, whatever is still to come of the request. */
export function answerEarly(status: number, body = '', headers: Record<string, string> = {}): Act {
  return (_, { request, response }) => {
    request.pause();
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers });
    response.end(body);
  };
}

/** Reads what comes, and never says anything. */
export const hang: Act = () => {};

/** Neither reads nor says anything. */
export const freeze: Act = (_, { request }) => void request.pause();

/** Ends the connection as soon as the headers are there. */
export const cut: Act = (_, { request }) => void request.socket.resetAndDestroy();

/** Announces `length` bytes, sends these, and ends the connection. */
export function half(body: Buffer | string, length: number, status = 200): Act {
  return (_, { request, response }) => {
    response.writeHead(status, { 'Content-Length': length });
    response.write(body, () => request.socket.destroySoon());
  };
}

/** Something that is no HTTP, then the end. */
export const garbage: Act = (_, { request }) => {
  request.socket.end('\0\x01\x02 this is nothing\r\n\r\n');
};

/** Does nothing until the gate opens, then what it is told. */
export function after(gate: Promise<unknown>, act: Act): Act {
  return async (seen, io) => {
    io.request.pause();
    await gate;
    io.request.resume();
    await act(seen, io);
  };
}

export interface PeerOptions {
  /** How it is reached; by a Unix socket unless it says otherwise. */
  by?: 'unix' | 'tcp';
  /** What it does unless it is told otherwise: 200 and nothing. */
  act?: Act;
}

export async function startPeer({
  by = 'unix',
  act = answer(200),
}: PeerOptions = {}): Promise<ScriptedPeer> {
  const folder: TemporaryFolder | undefined =
    by === 'unix' ? await createTemporaryFolder() : undefined;
  const requests: SeenRequest[] = [];
  const waiting = new Set<() => void>();
  const sockets = new Set<Socket>();
  const acts: Act[] = [];
  let fallback = act;
  let port = 0;
  let server: Server | undefined;
  let knowsDelegation = false;
  let refused = 0;
  const failures: AssertionError[] = [];

  function serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.url === '/readyz') {
      response.end('ok');
      return;
    }
    const seen = see(request, response);
    requests.push(seen);
    for (const wake of waiting) wake();
    const next = acts.shift() ?? fallback;
    response.on('error', () => {});
    void (async () => {
      try {
        await next(seen, { request, response });
      } catch (error) {
        // Else the one who asked has left.
        if (error instanceof AssertionError) failures.push(error);
        response.destroy();
      }
    })();
  }

  async function start(): Promise<void> {
    const http = createServer({ keepAliveTimeout: 75_000 }, serve);
    http.on('checkContinue', serve);
    http.on('checkExpectation', (request, response) => {
      if (knowsDelegation) return serve(request, response);
      refused += 1;
      response.writeHead(417).end();
    });
    server = createNetServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
      http.emit('connection', socket);
    });
    const listening = server;
    await new Promise<void>((resolve) => {
      if (folder === undefined) listening.listen(port, '127.0.0.1', resolve);
      else listening.listen(join(folder.path, 'peer.sock'), resolve);
    });
    if (folder === undefined) ({ port } = listening.address() as AddressInfo);
  }

  async function stop(): Promise<void> {
    const stopping = server;
    server = undefined;
    if (stopping === undefined) return;
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => stopping.close(resolve));
  }

  await start();
  return {
    address:
      folder === undefined
        ? { kind: 'tcp', host: '127.0.0.1', port, tls: false }
        : { kind: 'unix', socket: join(folder.path, 'peer.sock') },
    knowDelegation() {
      knowsDelegation = true;
    },
    refusedExpectations: () => refused,
    requests,
    next: (...more) => void acts.push(...more),
    otherwise(other) {
      fallback = other;
    },
    async request(index) {
      while (requests.length <= index) {
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
      return requests[index] as SeenRequest;
    },
    connections: () => sockets.size,
    stop,
    start,
    async close() {
      await stop();
      await folder?.remove();
      const [failure] = failures;
      if (failure !== undefined) throw failure;
    },
  };
}

function see(request: IncomingMessage, response: ServerResponse): SeenRequest {
  const chunks: Buffer[] = [];
  let closed = false;
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  const whole = new Promise<Buffer>((resolve, reject) => {
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => reject(new Error('the request broke off')));
    request.once('error', reject);
  });
  // Not every act waits for it.
  whole.catch(() => {});
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    headers: request.headers,
    body: () => Buffer.concat(chunks),
    whole,
    closed: new Promise((resolve) => {
      response.once('close', () => {
        closed = true;
        resolve();
      });
    }),
    abandoned: () => closed && !response.writableFinished,
  };
}
