import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChunkRange, parseRange } from './range.ts';

test('ranges are read against the size', () => {
  assert.deepEqual(parseRange('bytes=0-9', 100), { start: 0, end: 9 });
  assert.deepEqual(parseRange('bytes=90-', 100), { start: 90, end: 99 });
  assert.deepEqual(parseRange('bytes=90-1000', 100), { start: 90, end: 99 });
  assert.deepEqual(parseRange('bytes=-10', 100), { start: 90, end: 99 });
  assert.deepEqual(parseRange('bytes=-1000', 100), { start: 0, end: 99 });
  assert.deepEqual(parseRange('Bytes=99-99', 100), { start: 99, end: 99 });
});

test('what starts beyond the end, or asks for nothing, is unsatisfiable', () => {
  for (const header of ['bytes=100-', 'bytes=100-200', 'bytes=-0']) {
    assert.equal(parseRange(header, 100), 'unsatisfiable', header);
  }
  assert.equal(parseRange('bytes=0-', 0), 'unsatisfiable');
});

test('what is no single byte range is ignored', () => {
  for (const header of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=9-0',
    'bytes=0-1,5-6',
    'lines=0-1',
    'bytes=a-b',
    'bytes 0-1',
  ]) {
    assert.equal(parseRange(header, 100), undefined, String(header));
  }
});

test('a range never leaves its content', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat({ max: 10_000 }), (first, last, size) => {
      for (const header of [`bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`]) {
        const range = parseRange(header, size);
        if (range === undefined || range === 'unsatisfiable') continue;
        assert.ok(0 <= range.start && range.start <= range.end && range.end < size, header);
      }
    }),
  );
});

test('the range of a chunk is read with and without unit and total', () => {
  assert.deepEqual(parseChunkRange('0-9'), { start: 0, end: 9 });
  assert.deepEqual(parseChunkRange('bytes 5-9/10'), { start: 5, end: 9 });
  assert.deepEqual(parseChunkRange('bytes=5-9/*'), { start: 5, end: 9 });
  for (const header of ['', '9-5', '5-', '-5', 'a-b', '0-9,10-11', '0-99999999999999999']) {
    assert.equal(parseChunkRange(header), undefined, header);
  }
});
