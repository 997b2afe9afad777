import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeProgress, formatBytes } from './progress.ts';

test('progress says how fast it goes, and how long it will take where the end is known', () => {
  for (const [progress, elapsed, expected] of [
    [{ phase: 'marking', done: 0 }, 0, 'marking: 0'],
    [{ phase: 'marking', done: 30 }, 10_000, 'marking: 30, 3.0/s'],
    [
      { phase: 'blobs', done: 100, total: 400 },
      5000,
      `blobs [${'='.repeat(7)}${' '.repeat(23)}] 100 of 400, 20/s, 15 s left`,
    ],
    [
      { phase: 'blobs', done: 1, total: 4000 },
      1000,
      `blobs [${' '.repeat(30)}] 1 of 4000, 1.0/s, 67 min left`,
    ],
  ] as const) {
    assert.equal(describeProgress(progress, elapsed), expected);
  }
});

test('sizes are as storage is sold', () => {
  for (const [bytes, expected] of [
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1500, '1.5 kB'],
    [2_000_000_000, '2.0 GB'],
  ] as const) {
    assert.equal(formatBytes(bytes), expected);
  }
});
