import { constants, type ServerHttp2Session } from 'node:http2';

/** Milliseconds. */
export interface IdleTimes {
  /** For the first request of a session to arrive. */
  headersTimeout: number;
  /** A session without a stream is kept. */
  keepAlive: number;
  /** For what is left of a stream when its answer is complete. */
  idle: number;
}

/** Ends what no request is behind: sessions without a stream, streams without an end. */
export function endIdle(
  session: ServerHttp2Session,
  { headersTimeout, keepAlive, idle }: IdleTimes,
): void {
  let open = 0;
  let timer: NodeJS.Timeout;
  const endAfter = (time: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      session.close();
      // A peer that does not take the GOAWAY would keep what cannot be sent to it.
      timer = setTimeout(() => session.destroy(), headersTimeout);
    }, time);
  };

  session.on('stream', (stream) => {
    open += 1;
    clearTimeout(timer);
    stream.once('close', () => {
      open -= 1;
      if (open === 0 && !session.destroyed) endAfter(keepAlive);
    });
    // As long as its answer is not complete, the proxy's watch judges it.
    const watch = () => {
      if (stream.headersSent && stream.writableEnded) {
        stream.close(constants.NGHTTP2_CANCEL);
        stream.destroy();
      } else stream.setTimeout(idle, watch);
    };
    stream.setTimeout(idle, watch);
  });
  session.once('close', () => clearTimeout(timer));
  endAfter(headersTimeout);
}
