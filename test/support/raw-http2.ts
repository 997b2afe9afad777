import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';

export const frameTypes = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of the frames that a test writes. */
export const flags = { endStream: 1, ack: 1, endHeaders: 4 } as const;

interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

/** A connection on which a test writes frames that no well-behaved client would. */
export interface RawHttp2 {
  socket: TLSSocket;
  send(type: number, flags: number, stream: number, payload?: Buffer): void;
  /** What came so far. */
  frames(): readonly Frame[];
  /** Resolves with the first such frame, or undefined when the connection ends without one. */
  until(wanted: (frame: Frame) => boolean): Promise<Frame | undefined>;
  untilClosed(): Promise<void>;
  /** Has PINGs answered, which it leaves unanswered otherwise. */
  onPing(answer: (payload: Buffer) => void): void;
}

/** Connects and says the preface with empty settings. */
export async function rawHttp2(port: number): Promise<RawHttp2> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const frames: Frame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let closed = false;
  let answerPing: (payload: Buffer) => void = () => {};
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const [type = 0, bits = 0] = rest.subarray(3, 5);
      if (type === frameTypes.ping && (bits & flags.ack) === 0) answerPing(rest.subarray(9, end));
      frames.push({
        type,
        flags: bits,
        stream: rest.readUInt32BE(5),
        payload: rest.subarray(9, end),
      });
      rest = rest.subarray(end);
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  const send: RawHttp2['send'] = (type, bits, stream, payload = Buffer.alloc(0)) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(bits, 4);
    head.writeUInt32BE(stream, 5);
    if (!closed) socket.write(Buffer.concat([head, payload]));
  };
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  send(frameTypes.settings, 0, 0);
  const wait = async <T>(look: () => T | undefined | false) => {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      if (closed) return undefined;
      if (performance.now() > deadline) throw new Error('no such frame came');
      await sleep(5);
    }
  };
  return {
    socket,
    send,
    frames: () => frames,
    until: (wanted) => wait(() => frames.find(wanted)),
    untilClosed: async () => void (await wait(() => closed)),
    onPing(answer) {
      answerPing = answer;
    },
  };
}

/** Header fields as HPACK literals that nobody indexes. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1');
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    const length: number[] = [127];
    let left = bytes.length - 127;
    for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
    return Buffer.concat([Buffer.from([...length, left]), bytes]);
  };
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  );
}
