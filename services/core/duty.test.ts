import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDuty } from './duty.ts';
import { createEmbeddedLocks } from './sessions/embedded-locks.ts';
import { LockLostError, type Locks } from './sessions/locks.ts';

test('one core has a duty until it goes, then the next that asks', async () => {
  const locks = createEmbeddedLocks();
  const [first, second] = [createDuty(locks, 'upkeep'), createDuty(locks, 'upkeep')];
  assert.equal(await first.isOurs(), true);
  assert.equal(await second.isOurs(), false);
  assert.equal(await first.isOurs(), true);
  first.release();
  assert.equal(await second.isOurs(), true);
  assert.equal(await first.isOurs(), false);
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
  const duty = createDuty(locks, 'upkeep');
  assert.equal(await duty.isOurs(), true);
  lost = true;
  const other = await embedded.tryExclusive('duty upkeep');
  assert.equal(other, undefined);
  assert.equal(await duty.isOurs(), true);
});
