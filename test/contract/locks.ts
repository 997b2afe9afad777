import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exclusiveAll, type Held, type Locks } from '../../services/core/sessions/locks.ts';
import { waitFor } from '../support/wait-for.ts';

/** Milliseconds in which whoever can have a lock has it; one who is seen too early fails the test. */
const moment = 30;

export interface LocksContract {
  name: string;
  create: () => Promise<Locks>;
}

/** What all locks promise; their test is this and a factory. */
export function locksContract({ name, create }: LocksContract): void {
  describe(`${name} keep the contract of locks`, () => {
    let locks: Locks;
    let log: string[];

    beforeEach(async () => {
      locks = await create();
      log = [];
    });

    afterEach(async () => {
      await locks.close();
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
      await sleep(moment);
      assert.deepEqual(log, ['first', 'second']);
      second[Symbol.dispose]();
      (await alone)[Symbol.dispose]();
      assert.deepEqual(log, ['first', 'second', 'alone']);
    });

    test('nobody overtakes one who waits to be alone', async () => {
      const first = await note('first', locks.shared('a'));
      const alone = note('alone', locks.exclusive('a'));
      const later = note('later', locks.shared('a'));
      await sleep(moment);
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
      await sleep(moment);
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
        await sleep(moment);
        inside -= 1;
      };
      await Promise.all([
        work(['a', 'b', 'c']),
        work(['c', 'b', 'a', 'a']),
        work(['b', 'c', 'a']),
        work(['c', 'a']),
      ]);
    });

    test('trying never waits, and takes no place in the queue', async () => {
      const first = await locks.shared('a');
      assert.equal(await locks.tryExclusive('a'), undefined);
      const second = await note('second', locks.shared('a'));
      second[Symbol.dispose]();
      first[Symbol.dispose]();
      const third = await free('a');
      await third.confirm();
      assert.equal(await locks.tryExclusive('a'), undefined);
      third[Symbol.dispose]();
      (await free('a'))[Symbol.dispose]();
    });

    /** A release may still be on its way. */
    async function free(key: string): Promise<Held> {
      return await waitFor('the lock to be free', () => locks.tryExclusive(key));
    }
  });
}
