import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type {
  AttemptCounter,
  Refusal,
  Reservation,
} from '../../services/auth/limits/attempt-counter.ts';

/** What every counter of attempts promises. */
export function testAttemptCounter(name: string, counter: () => AttemptCounter): void {
  describe(`counts attempts: ${name}`, () => {
    const budget = (key: string, most: number) => ({ key, most });
    const taken = (result: Reservation | Refusal): Reservation => {
      assert.ok(result.ok);
      return result;
    };
    const refused = (result: Reservation | Refusal): Refusal => {
      assert.ok(!result.ok);
      return result;
    };

    test('of several budgets all are taken from, or none', async () => {
      const group = randomUUID();
      const [one, other] = [budget('a', 5), budget('b', 1)];
      const first = taken(await counter().reserve(group, [one, other]));
      assert.deepEqual(first.before, [0, 0]);
      const second = refused(await counter().reserve(group, [one, other]));
      assert.deepEqual([second.key, second.busy], ['b', true]);
      assert.ok(second.retryAfter > 0);
      await first.keep();
      const third = refused(await counter().reserve(group, [one, other]));
      assert.equal(third.busy, false, 'nothing is under way that could be given back');
      assert.deepEqual(taken(await counter().reserve(group, [one])).before, [1]);
    });

    test('what is given back was never there', async () => {
      const group = randomUUID();
      for (let n = 0; n < 5; n += 1) {
        await taken(await counter().reserve(group, [budget('a', 1)])).giveBack();
      }
      await taken(await counter().reserve(group, [budget('a', 1)])).keep();
      refused(await counter().reserve(group, [budget('a', 1)]));
    });

    test('of a burst no more are admitted than there is room for', async () => {
      const group = randomUUID();
      const burst = await Promise.all(
        Array.from({ length: 200 }, () => counter().reserve(group, [budget('a', 30)])),
      );
      assert.equal(burst.filter(({ ok }) => ok).length, 30);
    });

    test('0 counts without a limit', async () => {
      const group = randomUUID();
      for (let n = 0; n < 20; n += 1) {
        await taken(await counter().reserve(group, [budget('a', 0)])).keep();
      }
      refused(await counter().reserve(group, [budget('a', 20)]));
    });

    test('keys of two groups, and two keys, have nothing to do with each other', async () => {
      const [one, other] = [randomUUID(), randomUUID()];
      taken(await counter().reserve(one, [budget('a', 1)]));
      taken(await counter().reserve(other, [budget('b', 1)]));
      taken(await counter().reserve(one, [budget('b', 1)]));
      refused(await counter().reserve(one, [budget('b', 1)]));
    });
  });
}
