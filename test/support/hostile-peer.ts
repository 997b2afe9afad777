import { connect, createServer, type Socket } from 'node:net';

/** What a peer does instead of answering. */
export const misbehaviours = [
  'hangs up',
  'resets',
  'says garbage',
  'says half an answer',
  'says an error',
  'says nothing',
  'says megabytes',
] as const;

export type Misbehaviour = (typeof misbehaviours)[number];

/** What it says, in the words of its protocol. */
export interface Phrases {
  garbage: Buffer;
  /** Begins as an answer does, and stops in the middle. */
  half: Buffer;
  error: Buffer;
  /** Begins an answer that never ends. */
  endless: Buffer;
}

/** Passes connections on to a real peer, and misbehaves on cue. */
export interface HostilePeer {
  port: number;
  /**
   * From now on misbehaves at requests for which `when` is true; the real peer does not see them.
   * @param how bytes are said as they are
   */
  misbehave(how: Misbehaviour | Buffer, when: (request: Buffer) => boolean): void;
  /** Everything is passed on again, and what was broken is cut. */
  recover(): void;
  /** How often it has misbehaved since it was told to. */
  times(): number;
  /** Breaks the connections there are. */
  cut(): void;
  close(): Promise<void>;
}

const megabytes = 8 * 1024 * 1024;

export async function startHostilePeer(target: number, phrases: Phrases): Promise<HostilePeer> {
  const sockets = new Set<Socket>();
  let rule: { how: Misbehaviour | Buffer; when: (request: Buffer) => boolean } | undefined;
  let times = 0;

  function act(client: Socket, how: Misbehaviour | Buffer): void {
    times += 1;
    if (typeof how !== 'string') client.write(how);
    if (how === 'hangs up') client.end();
    if (how === 'resets') client.resetAndDestroy();
    if (how === 'says garbage') client.write(phrases.garbage);
    if (how === 'says half an answer') client.end(phrases.half);
    if (how === 'says an error') client.write(phrases.error);
    if (how === 'says megabytes') {
      client.write(phrases.endless);
      for (let sent = 0; sent < megabytes; sent += 65_536) client.write(Buffer.alloc(65_536, 'x'));
    }
  }

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  }

  const server = createServer((client) => {
    keep(client);
    const real = connect(target, '127.0.0.1');
    keep(real);
    real.once('close', () => client.destroy());
    client.once('close', () => real.destroy());
    real.pipe(client);
    client.on('data', (chunk: Buffer) => {
      const active = rule;
      if (active?.when(chunk) !== true) {
        real.write(chunk);
        return;
      }
      real.unpipe(client);
      act(client, active.how);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    misbehave(how, when) {
      times = 0;
      rule = { how, when };
    },
    recover() {
      rule = undefined;
      cut();
    },
    times: () => times,
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
