import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { PieceBuffers } from './piece-buffers.ts';
import { piecesOf } from './pieces-of.ts';

const buffers = new PieceBuffers({
  first: { size: 64, total: 128 },
  most: 64,
  least: 16,
  total: 4096,
  kept: 128,
});
const never = new AbortController().signal;

async function collect(stream: Readable, signal = never): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const piece of piecesOf(stream, signal, buffers)) chunks.push(Buffer.from(piece));
  return Buffer.concat(chunks);
}

test('all bytes come, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }),
      async (parts) => {
        const buffers = parts.map((part) => Buffer.from(part));
        const stream = new PassThrough({ highWaterMark: 16 });
        Readable.from(buffers.filter(({ length }) => length > 0)).pipe(stream);
        assert.deepEqual(await collect(stream), Buffer.concat(buffers));
      },
    ),
  );
});

test('all bytes come of pieces that are freed, larger than a buffer', async () => {
  const message = new IncomingMessage(new Socket());
  const pieces = [10, 200, 64, 1000, 63].map((length) =>
    Buffer.allocUnsafeSlow(length).fill(randomBytes(length)),
  );
  const expected = Buffer.concat(pieces);
  for (const piece of pieces) message.push(piece);
  message.push(null);
  assert.ok((await collect(message)).equals(expected));
  assert.deepEqual(new Set(pieces.map(({ length }) => length)), new Set([0]));
});

test('a stream that has ended already gives nothing', async () => {
  const stream = new PassThrough();
  stream.end();
  stream.resume();
  await new Promise((resolve) => stream.once('end', resolve));
  assert.equal((await collect(stream)).length, 0);
});

test('a stream that fails or closes before its end is an error', async () => {
  const failing = new PassThrough();
  failing.write('ab');
  const collecting = collect(failing);
  setImmediate(() => failing.destroy(new Error('gone')));
  await assert.rejects(collecting, /gone/);
  const closing = new PassThrough();
  setImmediate(() => closing.destroy());
  await assert.rejects(collect(closing), /closed before its end/);
});

test('it can be left while the next chunk is awaited, and the stream lives on', async () => {
  const stream = new PassThrough();
  stream.write('ab');
  const controller = new AbortController();
  const collecting = collect(stream, controller.signal);
  setImmediate(() => controller.abort());
  assert.equal((await collecting).toString(), 'ab');
  assert.equal(stream.destroyed, false);
  stream.end('cd');
  assert.equal((await collect(stream)).toString(), 'cd');
});

test('a piece stays as it is until the next one is asked for, however much comes meanwhile', async () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
  const stream = new PassThrough({ highWaterMark: 32 });
  const source = Readable.from(
    Array.from({ length: 500 }, (_, index) => bytes.subarray(10 * index, 10 * index + 10)),
  );
  source.pipe(stream);
  const seen: Buffer[] = [];
  for await (const piece of piecesOf(stream, never, buffers)) {
    const before = Buffer.from(piece);
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    assert.ok(piece.equals(before));
    seen.push(before);
  }
  assert.ok(Buffer.concat(seen).equals(bytes));
  assert.equal(buffers.used, 0);
});
