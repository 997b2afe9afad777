import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** What the first bytes of a connection say, as far as they came. */
export type FirstBytes =
  | { state: 'incomplete' }
  | { state: 'malformed'; why: string }
  /** @param length how many of them are not for whoever serves the connection */
  | { state: 'complete'; length: number };

/** A connection that is not with its server yet. */
export interface Arrival {
  socket: Socket;
  /** Gives it to the server as if it had just been accepted. */
  handOver(): void;
}

/**
 * Has somebody look at each connection before the server does, which stays the one that listens, counts and
 * closes. To be called before the server listens; who is called last looks first.
 * @param event `secureConnection` to look at what TLS made of a connection
 */
export function lookBefore(
  server: Server,
  look: (arrival: Arrival) => void,
  event: 'connection' | 'secureConnection' = 'connection',
): void {
  const listeners = server.listeners(event);
  const waiting = new Set<Socket>();

  server.removeAllListeners(event);
  server.on(event as 'connection', (socket: Socket) => {
    waiting.add(socket);
    const leave = () => waiting.delete(socket);
    socket.once('close', leave);
    const handOver = () => {
      leave();
      socket.off('close', leave);
      for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    };
    look({ socket, handOver });
  });

  // Of connections that no request can be on yet, the server itself knows nothing.
  for (const close of ['closeIdleConnections', 'closeAllConnections'] as const) {
    const closeOthers = server[close].bind(server);
    server[close] = () => {
      for (const socket of waiting) socket.destroy();
      closeOthers();
    };
  }
}

export interface FirstBytesEvents<Parsed extends FirstBytes> {
  /** They are there, and the socket stands behind those that were taken. */
  onComplete(parsed: Extract<Parsed, { state: 'complete' }>): void;
  /** They will not come; the socket is still to be closed. */
  onFault(why: string, isLate: boolean): void;
}

/**
 * Reads until the bytes say something. Calls one of both, once; neither if the socket is closed meanwhile.
 * @param parse is asked again with each piece
 * @param timeout milliseconds
 */
export function readFirstBytes<Parsed extends FirstBytes>(
  socket: Socket,
  timeout: number,
  parse: (bytes: Buffer) => Parsed,
  { onComplete, onFault }: FirstBytesEvents<Parsed>,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const look = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const parsed = parse(bytes);
    if (parsed.state === 'malformed') fail(parsed.why);
    if (parsed.state !== 'complete') return;
    settle();
    if (bytes.length > parsed.length) socket.unshift(bytes.subarray(parsed.length));
    onComplete(parsed as Extract<Parsed, { state: 'complete' }>);
  };
  const settle = () => {
    clearTimeout(timer);
    socket.off('readable', look).off('end', onEnd).off('error', onError).off('close', settle);
  };
  const fail = (why: string, isLate = false) => {
    settle();
    // Whatever else befalls it concerns nobody.
    socket.on('error', () => {});
    onFault(why, isLate);
  };
  const onEnd = () => fail('it ended too early');
  const onError = (error: Error) => fail(error.message);
  const timer = setTimeout(() => fail('it took too long', true), timeout);
  socket.on('readable', look).on('end', onEnd).on('error', onError).on('close', settle);
  // Whoever looked before us may have put something back.
  if (socket.readableLength > 0) look();
}
