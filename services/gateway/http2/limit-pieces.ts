import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { countPieces } from '#libs/http/small-pieces.ts';

/** Ends a session whose bodies come in next to nothing at a time. */
export function limitPieces(session: ServerHttp2Session): void {
  const count = countPieces(() => {
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  });

  session.on('stream', (stream) => watchFrames(stream, count));
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
