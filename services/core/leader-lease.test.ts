import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLeaderLease } from './leader-lease.ts';
import { createEmbeddedLocks } from './sessions/embedded-locks.ts';
import { LockLostError, type Locks } from './sessions/locks.ts';

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
  const locks: Locks = {
    ...embedded,
    async tryExclusive(key) {
      const held = await embedded.tryExclusive(key);
      return (
        held && {
          ...held,
          assertHeld() {
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
  const other = await embedded.tryExclusive('duty upkeep');
  assert.equal(other, undefined);
  assert.equal(await lease.isLeader(), true);
});
