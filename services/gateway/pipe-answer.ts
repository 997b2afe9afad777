import type { IncomingMessage, ServerResponse } from 'node:http';
import { freePiece } from '#libs/bodies/free-piece.ts';

/** Sends the body of an upstream's answer as it comes, no faster than the client takes it; its end is the caller's to send. */
export function pipeAnswer(incoming: IncomingMessage, response: ServerResponse): void {
  incoming.on('data', (piece: Buffer) => {
    const goesOn = response.write(piece, (error) => {
      // A connection that was closed may still have it.
      if (error == null) freePiece(piece, incoming);
    });
    if (!goesOn) incoming.pause();
  });
  response.on('drain', () => incoming.resume());
}
