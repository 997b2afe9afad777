import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createEmbeddedLocks } from './embedded-locks.ts';
import { exclusiveAll, type Held, type Locks } from './locks.ts';

describe('locks in memory', () => {
  let locks: Locks;
  let log: string[];

  beforeEach(() => {
    locks = createEmbeddedLocks();
    log = [];
  });

  /** Notes when the lock is granted, and gives it to whoever releases it. */
  async function note(name: string, wanted: Promise<Held>): Promise<Held> {
    const held = await wanted;
    log.push(name);
    return held;
  }

  test('many share; one who wants it alone waits for all of them', async () => {
    const first = await note('first', locks.shared('a'));
    const second = await note('second', locks.shared('a'));
    const alone = note('alone', locks.exclusive('a'));
    first[Symbol.dispose]();
    await turn();
    assert.deepEqual(log, ['first', 'second']);
    second[Symbol.dispose]();
    (await alone)[Symbol.dispose]();
    assert.deepEqual(log, ['first', 'second', 'alone']);
  });

  test('nobody overtakes one who waits to be alone', async () => {
    const first = await note('first', locks.shared('a'));
    const alone = note('alone', locks.exclusive('a'));
    const later = note('later', locks.shared('a'));
    await turn();
    first[Symbol.dispose]();
    (await alone)[Symbol.dispose]();
    (await later)[Symbol.dispose]();
    assert.deepEqual(log, ['first', 'alone', 'later']);
  });

  test('keys do not know each other', async () => {
    using _a = await locks.exclusive('a');
    using _b = await locks.exclusive('b');
  });

  test('to let go twice is to let go once', async () => {
    const first = await locks.exclusive('a');
    first[Symbol.dispose]();
    const second = await locks.exclusive('a');
    first[Symbol.dispose]();
    const third = note('third', locks.exclusive('a'));
    await turn();
    assert.deepEqual(log, []);
    second[Symbol.dispose]();
    (await third)[Symbol.dispose]();
  });

  test('several keys at once, in whatever order they are named, never wait in a circle', async () => {
    let inside = 0;
    const work = async (keys: string[]) => {
      using _held = await exclusiveAll(locks, keys);
      inside += 1;
      assert.equal(inside, 1);
      await turn();
      inside -= 1;
    };
    await Promise.all([
      work(['a', 'b', 'c']),
      work(['c', 'b', 'a', 'a']),
      work(['b', 'c', 'a']),
      work(['c', 'a']),
    ]);
  });
});
