import type { Socket } from 'node:net';

/** Milliseconds for the client to take the answer, having sent all it has. */
const timeout = 1000;

/**
 * Says the last word on a connection that nobody reads any more. Bytes that are there unread when it closes
 * would reset it, and the word be lost: so what still comes is thrown away until the client ends, for a second.
 */
export function endConnection(socket: Socket, text: string): void {
  const timer = setTimeout(() => socket.destroy(), timeout);
  socket.once('close', () => clearTimeout(timer));
  socket.on('error', () => {});
  socket.removeAllListeners('data').removeAllListeners('end');
  socket.once('end', () => socket.destroySoon());
  socket.resume();
  socket.end(text);
}
