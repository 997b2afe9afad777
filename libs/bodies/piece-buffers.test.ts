import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PieceBuffers, uploadSizes } from './piece-buffers.ts';

const KiB = 1024;

test('buffers get smaller the more there are, and never run out', () => {
  const sizes = uploadSizes;
  const buffers = new PieceBuffers(sizes);
  const taken = Array.from({ length: 4000 }, () => buffers.take());
  const lengths = taken.map(({ length }) => length);
  const first = sizes.first.total / sizes.first.size;
  assert.deepEqual(new Set(lengths.slice(0, first)), new Set([sizes.first.size]));
  assert.ok(lengths.slice(first).every((length) => length <= sizes.most));
  assert.deepEqual(
    lengths,
    lengths.toSorted((a, b) => b - a),
  );
  assert.equal(lengths.at(-1), sizes.least);
  const least = lengths.filter((length) => length === sizes.least).length * sizes.least;
  assert.ok(buffers.used - least <= sizes.total);
  for (const buffer of taken) buffers.release(buffer, true);
  assert.equal(buffers.used, 0);
  assert.equal(buffers.take().length, sizes.first.size);
});

test('of buffers that were given back some are kept, but none that may still be read', () => {
  const sizes = {
    first: { size: 4 * KiB, total: 0 },
    most: 4 * KiB,
    least: KiB,
    total: 8 * KiB,
    kept: 2 * KiB,
  };
  const buffers = new PieceBuffers(sizes);
  const [first, second, third] = [buffers.take(), buffers.take(), buffers.take()];
  assert.equal(first.length, KiB);
  buffers.release(first, false);
  buffers.release(second, true);
  buffers.release(third, true);
  assert.deepEqual(
    [buffers.take(), buffers.take()].map((one) => [second, third].includes(one)),
    [true, true],
  );
  assert.notEqual(buffers.take(), first);
});

test('buffers of a size that is used now are kept, whatever many transfers have left', () => {
  const buffers = new PieceBuffers(uploadSizes);
  const many = Array.from({ length: 100 }, () => buffers.take());
  // The first ones last, as those of a transfer that outlived the others.
  for (const buffer of many.toReversed()) buffers.release(buffer, true);
  assert.equal(buffers.used, 0);
  assert.ok(many.includes(buffers.take()));
});
