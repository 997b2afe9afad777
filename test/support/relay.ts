import { connect, createServer, type Socket } from 'node:net';

/** Something on the way between two processes that can break, as networks do. */
export interface Relay {
  port: number;
  /** Bytes that clients sent through it. */
  readonly sent: number;
  /** Where connections go from now on. */
  target: (port: number) => void;
  /** Lets nothing through any more, and tells nobody: what a pulled cable does. */
  freeze(): void;
  /** Lets everything through again, also what waited. */
  thaw(): void;
  /** From now on, or no longer: that a client closed its connection is not passed on, as if the packet were lost. */
  hideEnds(hide: boolean): void;
  /** Breaks the connections there are. */
  breakAll(): void;
  close(): Promise<void>;
}

/**
 * Passes TCP connections on to one of some ports of this machine, in turn; to the next if one does not
 * accept.
 */
export async function startRelay(targets: readonly number[]): Promise<Relay> {
  const sockets = new Set<Socket>();
  let ports = [...targets];
  let frozen = false;
  let hidden = false;
  let turn = 0;
  let sent = 0;

  function keep(socket: Socket): void {
    sockets.add(socket);
    // A small write waits for no other, as in what it stands for.
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    if (frozen) socket.pause();
  }

  function reach(client: Socket, attempt: number): void {
    const port = ports[(turn + attempt) % ports.length] ?? 0;
    const upstream = connect(port, '127.0.0.1');
    upstream.once('error', () => {
      if (attempt + 1 < ports.length) reach(client, attempt + 1);
      else client.destroy();
    });
    upstream.once('connect', () => {
      keep(upstream);
      upstream.once('close', () => client.destroy());
      client.once('close', () => {
        if (!hidden) upstream.destroy();
      });
      client.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (!upstream.write(chunk)) client.pause();
      });
      upstream.on('drain', () => {
        if (!frozen) client.resume();
      });
      client.on('end', () => {
        if (!hidden) upstream.end();
      });
      upstream.pipe(client);
      if (frozen) for (const socket of [client, upstream]) socket.pause();
    });
  }

  const server = createServer((client) => {
    keep(client);
    turn += 1;
    reach(client, 0);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    get sent() {
      return sent;
    },
    target: (port) => {
      ports = [port];
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    hideEnds(hide) {
      hidden = hide;
    },
    breakAll,
    async close() {
      breakAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
