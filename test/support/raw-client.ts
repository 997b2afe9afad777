import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A connection on which a test writes what no well-behaved client would. */
export interface RawClient {
  socket: Socket;
  send(text: string): void;
  /** All that came so far. */
  received(): string;
  /** Resolves with what came once it matches, or when the connection ends. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with all that came when the other side has closed. */
  untilClosed(): Promise<string>;
  /** Writes zeros, a chunk at a time, until so many are written or the connection is gone. */
  pour(bytes: number): Promise<number>;
}

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let text = '';
  let closed = false;
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  const wait = async (done: () => boolean) => {
    const deadline = performance.now() + 30_000;
    while (!done()) {
      if (performance.now() > deadline) throw new Error(`nothing more came after: ${text}`);
      await sleep(5);
    }
    return text;
  };
  return {
    socket,
    send: (data) => void socket.write(data),
    received: () => text,
    until: (pattern) => wait(() => pattern.test(text) || closed),
    untilClosed: () => wait(() => closed),
    async pour(bytes) {
      const chunk = Buffer.alloc(64 * 1024);
      let written = 0;
      while (written < bytes && !closed && socket.writable) {
        socket.write(chunk);
        written += chunk.length;
        // The other side gets time to close before the next chunk goes into a buffer.
        await sleep(50);
      }
      return written;
    },
  };
}
