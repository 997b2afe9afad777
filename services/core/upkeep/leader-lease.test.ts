import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEmbeddedLocks } from '../sessions/embedded-locks.ts';
import { LockLostError, type Locks } from '../sessions/locks.ts';
import { createLeaderLease } from './leader-lease.ts';

test('one core is the leader until it goes, then the next that asks', async () => {
  const locks = createEmbeddedLocks();
  const [first, second] = [createLeaderLease(locks, 'upkeep'), createLeaderLease(locks, 'upkeep')];
  assert.equal(await first.isLeader(), true);
  assert.equal(await second.isLeader(), false);
  assert.equal(await first.isLeader(), true);
  first.release();
  assert.equal(await second.isLeader(), true);
  assert.equal(await first.isLeader(), false);
});

test('a core that was held up past its lease asks anew', async () => {
  const embedded = createEmbeddedLocks();
  let lost = false;
  let asked = 0;
  const locks: Locks = {
    ...embedded,
    async tryExclusive(key) {
      asked += 1;
      const held = await embedded.tryExclusive(key);
      return (
        held && {
          assertHeld: () => held.assertHeld(),
          async confirm() {
            if (lost) throw new LockLostError('held up');
          },
          [Symbol.dispose]: () => held[Symbol.dispose](),
        }
      );
    },
  };
  const lease = createLeaderLease(locks, 'upkeep');
  assert.equal(await lease.isLeader(), true);
  lost = true;
  assert.equal(await lease.isLeader(), true);
  assert.equal(asked, 2);
});

test('several who ask at the same time are all told that their core is the leader', async () => {
  const locks = createEmbeddedLocks();
  const lease = createLeaderLease(locks, 'upkeep');
  assert.deepEqual(await Promise.all([lease.isLeader(), lease.isLeader()]), [true, true]);
  assert.equal(await lease.isLeader(), true);
  lease.release();
  assert.ok(await locks.tryExclusive('duty upkeep'), 'nothing is held any more');
});

test('what is granted to a core that gave up being the leader meanwhile is given back', async () => {
  const locks = createEmbeddedLocks();
  const lease = createLeaderLease(locks, 'upkeep');
  const asking = lease.isLeader();
  lease.release();
  assert.equal(await asking, false);
  assert.ok(await locks.tryExclusive('duty upkeep'));
});
