import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PieceBuffers, uploadSizes } from '#libs/bodies/piece-buffers.ts';
import { BatchWriter } from './batch-writer.ts';

const KiB = 1024;
const body = new PassThrough();

/** A target that says when it has taken something only where it is told to. */
class SlowTarget extends Writable {
  readonly pieces: Buffer[] = [];
  readonly waiting: (() => void)[] = [];

  constructor() {
    super({ highWaterMark: Number.MAX_SAFE_INTEGER });
  }

  override write(chunk: Buffer, done: unknown): boolean {
    this.pieces.push(Buffer.from(chunk));
    this.waiting.push(done as () => void);
    return true;
  }
}

describe('a body that is handed on in larger pieces', () => {
  test('arrives as it was, however it came', async () => {
    const bytes = randomBytes(3 * 1024 * KiB + 17);
    const buffers = new PieceBuffers(uploadSizes);
    const target = new PassThrough();
    const arrived: Buffer[] = [];
    target.on('data', (chunk: Buffer) => arrived.push(Buffer.from(chunk)));
    const pieces = function* () {
      const lengths = [1, 16 * KiB, 300 * KiB, 0, 7, 128 * KiB];
      for (let from = 0, index = 0; from < bytes.length; index += 1) {
        const length = lengths[index % lengths.length] ?? 0;
        yield bytes.subarray(from, from + length);
        from += length;
      }
    };
    await pipeline(
      Readable.from(pieces(), { objectMode: false }),
      new BatchWriter(body, target, buffers),
    );
    await nextTurn();
    assert.ok(Buffer.concat(arrived).equals(bytes));
    assert.equal(buffers.used, 0);
  });

  test('comes whole of pieces that are freed, larger than a buffer', async () => {
    const message = new IncomingMessage(new Socket());
    const pieces = [10, 300 * KiB, 2000 * KiB, 64 * KiB].map((length) =>
      Buffer.allocUnsafeSlow(length).fill(randomBytes(length)),
    );
    const expected = Buffer.concat(pieces);
    const target = new PassThrough();
    const arrived: Buffer[] = [];
    target.on('data', (chunk: Buffer) => arrived.push(Buffer.from(chunk)));
    for (const piece of pieces) message.push(piece);
    message.push(null);
    await pipeline(message, new BatchWriter(message, target, new PieceBuffers(uploadSizes)));
    await nextTurn();
    assert.ok(Buffer.concat(arrived).equals(expected));
    assert.deepEqual(new Set(pieces.map(({ length }) => length)), new Set([0]));
  });

  test('goes on at the end of the turn in which it came', async () => {
    const target = new SlowTarget();
    const writer = new BatchWriter(body, target, new PieceBuffers(uploadSizes));
    writer.write(Buffer.from('a'));
    writer.write(Buffer.from('b'));
    assert.deepEqual(target.pieces, []);
    await nextTurn();
    await nextTurn();
    assert.deepEqual(target.pieces.map(String), ['ab']);
  });

  test('is taken no faster than the target takes it', async () => {
    const target = new SlowTarget();
    const buffers = new PieceBuffers(uploadSizes);
    const writer = new BatchWriter(body, target, buffers);
    const chunk = Buffer.alloc(128 * KiB);
    let mayGoOn = true;
    for (let count = 0; count < 20 && mayGoOn; count += 1) {
      mayGoOn = writer.write(chunk);
      await nextTurn();
    }
    assert.equal(mayGoOn, false);
    assert.equal(writer.isBehind, true);
    assert.equal(target.pieces.length, 1);
    assert.equal(buffers.used, 2 * uploadSizes.first.size);
    target.waiting.shift()?.();
    await nextTurn();
    assert.equal(target.pieces.length, 2);
    assert.equal(buffers.used, 2 * uploadSizes.first.size);
  });

  test('leaves nothing behind where the target is closed in the middle', async () => {
    const target = new SlowTarget();
    const buffers = new PieceBuffers(uploadSizes);
    const writer = new BatchWriter(body, target, buffers);
    const source = new PassThrough();
    source.pipe(writer);
    source.write(Buffer.alloc(500 * KiB));
    await nextTurn();
    assert.ok(buffers.used > 0);
    const [late] = target.waiting;
    target.destroy();
    await nextTurn();
    assert.equal(buffers.used, 0);
    assert.equal(writer.destroyed, true);
    late?.();
    assert.equal(buffers.used, 0);
  });

  test('has no buffer again that a connection which was closed may still have, nor one it could not write', async () => {
    for (const end of ['destroy', 'error'] as const) {
      const target = new SlowTarget();
      const buffers = new PieceBuffers(uploadSizes);
      const given: Buffer[] = [];
      const take = buffers.take.bind(buffers);
      buffers.take = () => {
        const buffer = take();
        given.push(buffer);
        return buffer;
      };
      const writer = new BatchWriter(body, target, buffers);
      writer.on('error', () => {});
      writer.write(Buffer.alloc(100));
      await nextTurn();
      await nextTurn();
      if (end === 'destroy') target.destroy();
      else (target.waiting.shift() as ((error: Error) => void) | undefined)?.(new Error('lost'));
      await nextTurn();
      const [lost] = given;
      assert.equal(buffers.used, 0);
      for (let count = 0; count < 20; count += 1) assert.notEqual(buffers.take(), lost, end);
    }
  });

  test('is in smaller pieces where many are slow', async () => {
    const buffers = new PieceBuffers(uploadSizes);
    for (let count = 0; count < 1000; count += 1) {
      const writer = new BatchWriter(body, new SlowTarget(), buffers);
      writer.write(Buffer.alloc(128 * KiB));
      await nextTurn();
    }
    assert.ok(buffers.used < 64 * 1024 * KiB, `${buffers.used} bytes`);
  });
});
