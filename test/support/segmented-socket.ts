import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';

/** A connection whose first bytes are ours, for a client that does not know of them. */
export interface SegmentedSocket extends Duplex {
  /** The connection itself. */
  raw: Socket;
}

/**
 * Connects to a port of this machine. What the client writes first is sent behind `prefix`, as one.
 * @param cuts where these bytes are cut into segments of their own
 */
export function segmentedSocket(
  port: number,
  prefix: Buffer,
  cuts: readonly number[] = [],
): SegmentedSocket {
  const raw = connect({ port, host: '127.0.0.1', noDelay: true });
  let first = true;
  const duplex = new Duplex({
    read: () => void raw.resume(),
    write(chunk: Buffer, _, done) {
      const bytes = first ? Buffer.concat([prefix, chunk]) : chunk;
      const segments = first ? cutAt(bytes, cuts) : [bytes];
      first = false;
      void sendAll(segments).then(() => done(), done);
    },
    final(done) {
      if (raw.writable) raw.end(done);
      else done();
    },
    destroy(error, done) {
      raw.destroy();
      done(error);
    },
  });
  const sendAll = async (segments: readonly Buffer[]) => {
    for (const segment of segments) {
      // What TLS still says when the other side has gone is for nobody.
      if (!raw.writable) return;
      await new Promise<void>((resolve, reject) => {
        raw.write(segment, (error) => (error ? reject(error) : resolve()));
      });
      // The other side gets to see what came so far.
      await turn();
    }
  };
  raw.on('data', (chunk: Buffer) => {
    if (!duplex.push(chunk)) raw.pause();
  });
  raw.on('end', () => duplex.push(null));
  raw.on('error', (error) => duplex.destroy(error));
  raw.on('close', () => duplex.destroy());
  return Object.assign(duplex, { raw });
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts)].filter((at) => at > 0 && at < bytes.length);
  const sorted = [0, ...places.sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}
