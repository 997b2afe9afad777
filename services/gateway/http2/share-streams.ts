import { constants, type ServerHttp2Session } from 'node:http2';
import type { Budget } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';

/** Who has how many streams. */
export type SharedStreams = Pick<Budget, 'tryTake' | 'countRefused'>;

/** Resets streams for which there is no share, before anything is made of them. */
export function shareStreams(session: ServerHttp2Session, streams: SharedStreams): void {
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
