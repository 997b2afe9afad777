import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WritePace } from './write-pace.ts';

test('whoever takes pieces fast gets larger ones, and whoever does not the least', () => {
  let time = 0;
  const pace = new WritePace();
  const take = (milliseconds: number) => {
    const gone = pace.begin(() => time);
    time += milliseconds;
    gone();
    return pace.size / 1024;
  };
  assert.equal(pace.size / 1024, 64);
  assert.deepEqual([take(1), take(1), take(1)], [128, 256, 256]);
  assert.deepEqual([take(20_000), take(9000), take(1)], [16, 16, 32]);
});
