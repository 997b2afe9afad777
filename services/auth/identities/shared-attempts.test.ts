import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedAttempts } from './shared-attempts.ts';

test('the very same at the same time is asked once, and later again', async () => {
  const attempts = createSharedAttempts<number>();
  let asked = 0;
  const work = async () => {
    asked += 1;
    await Promise.resolve();
    return asked;
  };
  const both = await Promise.all([
    attempts.run('a', undefined, work),
    attempts.run('a', undefined, work),
  ]);
  assert.deepEqual(both, [1, 1]);
  assert.equal(await attempts.run('a', undefined, work), 2);
});

test('who leaves does not take it away from others; when all have left it is given up', async () => {
  const attempts = createSharedAttempts<string>();
  const { promise, resolve } = Promise.withResolvers<string>();
  let told: AbortSignal | undefined;
  const work = (signal: AbortSignal) => {
    told = signal;
    return promise;
  };
  const [one, other] = [new AbortController(), new AbortController()];
  const first = attempts.run('a', one.signal, work);
  const second = attempts.run('a', other.signal, work);
  one.abort(new Error('one left'));
  await assert.rejects(first, { message: 'one left' });
  assert.equal(told?.aborted, false);
  other.abort(new Error('the server stops'));
  await assert.rejects(second, { message: 'the server stops' });
  assert.equal(told?.reason.message, 'the server stops');
  resolve('late');
});
