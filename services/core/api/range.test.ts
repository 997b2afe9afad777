import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatRange, multipart } from '#libs/http/byte-ranges.ts';
import { parseChunkRange, parseRanges } from './range.ts';

test('ranges are read against the size', () => {
  assert.deepEqual(parseRanges('bytes=0-9', 100), [{ start: 0, end: 9 }]);
  assert.deepEqual(parseRanges('bytes=90-', 100), [{ start: 90, end: 99 }]);
  assert.deepEqual(parseRanges('bytes=90-1000', 100), [{ start: 90, end: 99 }]);
  assert.deepEqual(parseRanges('bytes=-10', 100), [{ start: 90, end: 99 }]);
  assert.deepEqual(parseRanges('bytes=-1000', 100), [{ start: 0, end: 99 }]);
  assert.deepEqual(parseRanges('Bytes=99-99', 100), [{ start: 99, end: 99 }]);
});

test('what starts beyond the end, or asks for nothing, is unsatisfiable', () => {
  for (const header of ['bytes=100-', 'bytes=100-200', 'bytes=-0', 'bytes=9-0']) {
    assert.equal(parseRanges(header, 100), 'unsatisfiable', header);
  }
  assert.equal(parseRanges('bytes=0-', 0), 'unsatisfiable');
});

test('what is no list of a few byte ranges is ignored', () => {
  for (const header of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=0-1,x',
    `bytes=${Array.from({ length: 17 }, (_, index) => `${index * 2}-${index * 2}`).join(',')}`,
    'lines=0-1',
    'bytes=a-b',
    'bytes 0-1',
  ]) {
    assert.equal(parseRanges(header, 100), undefined, String(header));
  }
});

test('several ranges keep their order; those that touch become one, those beyond the end go', () => {
  assert.deepEqual(parseRanges('bytes=50-59, 0-9,200-300', 100), [
    { start: 50, end: 59 },
    { start: 0, end: 9 },
  ]);
  assert.deepEqual(parseRanges('bytes=0-4,5-9,20-,10-12', 100), [
    { start: 20, end: 99 },
    { start: 0, end: 12 },
  ]);
  assert.equal(parseRanges('bytes=100-,200-', 100), 'unsatisfiable');
});

test('ranges never leave their content and never overlap', () => {
  const one = fc.oneof(
    fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 120 })).map(([a, b]) => `${a}-${b}`),
    fc.nat({ max: 120 }).map((a) => `${a}-`),
    fc.nat({ max: 120 }).map((a) => `-${a}`),
  );
  fc.assert(
    fc.property(
      fc.array(one, { minLength: 1, maxLength: 6 }),
      fc.nat({ max: 100 }),
      (list, size) => {
        const ranges = parseRanges(`bytes=${list.join(',')}`, size);
        if (ranges === undefined || ranges === 'unsatisfiable') return;
        const seen = new Set<number>();
        for (const { start, end } of ranges) {
          assert.ok(0 <= start && start <= end && end < size);
          for (let index = start; index <= end; index += 1) {
            assert.ok(!seen.has(index));
            seen.add(index);
          }
        }
      },
    ),
  );
});

test('the announced length of several parts is that of what is sent', () => {
  const content = Buffer.from('0123456789');
  const ranges = [
    { start: 0, end: 1 },
    { start: 5, end: 9 },
  ];
  const { contentType, length, parts, end } = multipart(ranges, { type: 'text/plain', size: 10 });
  const body = Buffer.concat([
    ...parts.flatMap(({ head, range }) => [head, content.subarray(range.start, range.end + 1)]),
    end,
  ]);
  assert.equal(body.length, length);
  const boundary = /boundary=(\w+)$/.exec(contentType)?.[1] ?? '';
  const pieces = body.toString().split(`--${boundary}`);
  assert.equal(pieces.length, 4);
  assert.match(
    pieces[2] ?? '',
    new RegExp(`${formatRange({ start: 5, end: 9 }, 10)}\r\n\r\n56789\r\n$`),
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
