import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import fc from 'fast-check';
import { type BudgetOptions, createBudget, type Lease, type TakeOptions } from './budget.ts';
import { partiesOf } from './parties.ts';

const budgetOf = (options: Partial<BudgetOptions> = {}) =>
  createBudget({ name: 'test', capacity: 100, maxWait: 1000, message: 'too much', ...options });
const from = (address: string, subject = '') => partiesOf(address, subject);
const refusal = { code: 'TOOMANYREQUESTS', retryAfter: 5 };

describe('the parties of one who asks', () => {
  test('are its account, its address, and of IPv6 the networks it may choose addresses from', () => {
    assert.deepEqual(from('203.0.113.7'), { subject: '', networks: ['203.0.113.7'] });
    for (const address of ['::ffff:203.0.113.7', '::ffff:cb00:7107']) {
      assert.deepEqual(from(address, 'ann'), { subject: 'ann', networks: ['203.0.113.7'] });
    }
    const networks = ['2001:db8:1/48', '2001:db8:1:200/56', '2001:db8:1:2ab/64'];
    assert.deepEqual(from('2001:db8:1:2ab:3::4').networks, networks);
    assert.deepEqual(from('2001:DB8:1:2ab::9').networks, networks);
    assert.deepEqual(from('nowhere').networks, ['nowhere']);
  });
});

describe('a budget', () => {
  test('gives one alone all but what is kept for others', () => {
    const budget = budgetOf();
    const leases: Lease[] = [];
    for (let lease = budget.tryTake(from('a'), 5); lease !== undefined; ) {
      leases.push(lease);
      lease = budget.tryTake(from('a'), 5);
    }
    assert.equal(budget.used, 75);
    assert.ok(budget.tryTake(from('b'), 12), 'another one has a share');
    assert.equal(budget.tryTake(from('a'), 1), undefined);
  });

  test('counts one of IPv6 that chooses many addresses as one, beside those of IPv4', () => {
    const budget = budgetOf({ capacity: 10_000 });
    const hex = (n: number) => n.toString(16);
    for (let n = 0; n < 7500; n += 1) {
      assert.ok(budget.tryTake(from(`2001:db8:1:${hex(n)}::1`), 1), `${n}`);
    }
    let taken = 0;
    while (budget.tryTake(from('203.0.113.7'), 1) !== undefined) taken += 1;
    assert.ok(taken > 1000, `${taken} for the other`);
    for (let n = 7500; n < 9000; n += 1) budget.tryTake(from(`2001:db8:1:${hex(n)}::1`), 1);
    assert.ok(budget.tryTake(from('203.0.113.8'), 1), 'and for a third');
  });

  test('leaves something for whoever comes new, however much several take', () => {
    const budget = budgetOf({ capacity: 10_000 });
    for (let n = 0; n < 10; n += 1) {
      while (budget.tryTake(from(`10.0.0.${n}`), 1) !== undefined);
    }
    assert.ok(budget.tryTake(from('10.0.1.1'), 1));
    assert.ok(budget.free > 0);
  });

  for (const greedy of [1, 3, 8, 14]) {
    test(`has something for an office, however much ${greedy} networks take`, () => {
      const budget = budgetOf({ capacity: 10_000 });
      for (let n = 0; n < greedy; n += 1) {
        while (budget.tryTake(from(`10.0.0.${n}`), 1) !== undefined);
      }
      let taken = 0;
      while (budget.tryTake(from('10.1.0.1'), 1) !== undefined) taken += 1;
      assert.ok(taken >= 78, `${taken} of 10 000`);
    });
  }

  test('counts an account over all addresses, and an address over all accounts', () => {
    const budget = budgetOf();
    for (let n = 0; n < 15; n += 1) budget.tryTake(from(`10.0.0.${n}`, 'ann'), 5);
    assert.equal(budget.tryTake(from('10.0.1.1', 'ann'), 1), undefined);
    assert.ok(budget.tryTake(from('10.0.1.1', 'bob'), 1));
    const other = budgetOf();
    for (let n = 0; n < 15; n += 1) other.tryTake(from('10.0.0.1', `user${n}`), 5);
    assert.equal(other.tryTake(from('10.0.0.1', 'new'), 1), undefined);
    assert.ok(other.tryTake(from('10.0.0.2', 'new'), 1));
  });

  test('counts a /48 of IPv6 as one', () => {
    const budget = budgetOf();
    for (let n = 0; n < 15; n += 1) budget.tryTake(from(`2001:db8:1:${n.toString(16)}00::1`), 5);
    assert.equal(budget.tryTake(from('2001:db8:1:ff00::1'), 1), undefined);
    assert.ok(budget.tryTake(from('2001:db8:2::1'), 1));
  });

  test('has whoever finds no share wait for one, those who have least first', async () => {
    const budget = budgetOf();
    const big = budget.tryTake(from('a'), 75) as Lease;
    const rest = [budget.tryTake(from('b'), 12), budget.tryTake(from('d'), 13)];
    const order: string[] = [];
    const take = async (who: string, amount: number) => {
      const lease = await budget.take(from(who), amount);
      order.push(who);
      return lease;
    };
    const waiting = [take('a', 10), take('b', 10), take('c', 10)];
    assert.equal(budget.waiting, 3);
    for (const lease of rest) lease?.[Symbol.dispose]();
    await Promise.all(waiting.slice(1));
    assert.deepEqual(order.sort(), ['b', 'c']);
    assert.equal(budget.waiting, 1, 'a has more than its share');
    big[Symbol.dispose]();
    big[Symbol.dispose]();
    for (const lease of await Promise.all(waiting)) lease[Symbol.dispose]();
    assert.equal(budget.used, 0);
  });

  test('gives a growing lease more as it grows, no more than there is, and takes all of it back', async () => {
    const budget = budgetOf({ maxWait: 0 });
    {
      using lease = await budget.takeGrowing(from('a'), 2);
      await lease.growTo(10);
      assert.deepEqual([lease.amount, budget.used], [10, 10]);
      await lease.growTo(5);
      assert.equal(budget.used, 10);
      await lease.growTo(75);
      // Alone as it is, it has all but what is kept for others.
      await assert.rejects(lease.growTo(90), refusal);
      assert.equal(budget.used, 75);
      using _other = await budget.takeGrowing(from('b'), 2);
    }
    assert.equal(budget.used, 0);
    using small = await budget.takeGrowing(from('a'), 70);
    await small.growTo(75);
    await small.growTo(75);
    assert.equal(budget.used, 75);
  });

  test('takes back what a growing lease was given after its end', async () => {
    const budget = budgetOf();
    const others = budget.tryTake(from('a'), 75) as Lease;
    const lease = await budget.takeGrowing(from('b'), 2);
    const growth = lease.growTo(50);
    assert.equal(budget.waiting, 1);
    others[Symbol.dispose]();
    lease[Symbol.dispose]();
    await growth;
    assert.equal(budget.used, 0);
  });

  test('refuses whoever waited in vain, at once where nobody waits', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const budget = budgetOf();
      budget.tryTake(from('a'), 75);
      const waiting = assert.rejects(budget.take(from('a'), 1), refusal);
      mock.timers.tick(1000);
      await waiting;
      assert.deepEqual([budget.waiting, budget.refused], [0, 1]);
      const strict = budgetOf({ maxWait: 0 });
      strict.tryTake(from('a'), 75);
      await assert.rejects(strict.take(from('a'), 1), refusal);
    } finally {
      mock.timers.reset();
    }
  });

  test('lets one wait for less that has waited elsewhere', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const budget = budgetOf();
    using _all = budget.tryTake(from('a'), 75);
    const refused: string[] = [];
    const wait = (name: string, options?: TakeOptions) =>
      budget.take(from('a'), 1, options).catch(() => refused.push(name));
    const [whole, rest] = [wait('whole'), wait('rest', { maxWait: 300 })];
    await wait('nothing left', { maxWait: -1 });
    mock.timers.tick(300);
    await rest;
    assert.deepEqual(refused, ['nothing left', 'rest']);
    mock.timers.tick(700);
    await whole;
    mock.timers.reset();
  });

  test('forgets whoever leaves while it waits', async () => {
    const budget = budgetOf();
    const lease = budget.tryTake(from('a'), 75) as Lease;
    const leaving = new AbortController();
    const waiting = budget.take(from('a'), 1, { signal: leaving.signal });
    leaving.abort(new Error('it left'));
    await assert.rejects(waiting, /it left/);
    assert.equal(budget.waiting, 0);
    lease[Symbol.dispose]();
    assert.equal(budget.used, 0);
    await assert.rejects(budget.take(from('a'), 1, { signal: leaving.signal }), /it left/);
  });

  test('gives nothing to one that leaves at the moment at which there is something', async () => {
    const budget = budgetOf();
    const lease = budget.tryTake(from('a'), 100);
    const leaving = new AbortController();
    const waited = budget.take(from('b'), 10, { signal: leaving.signal });
    leaving.abort(new Error('gone'));
    lease?.[Symbol.dispose]();
    await assert.rejects(waited, /gone/);
    assert.deepEqual([budget.used, budget.waiting], [0, 0]);
  });

  test('shares out the places in its queue too', async () => {
    const budget = budgetOf({ queue: 8 });
    const lease = budget.tryTake(from('a'), 100) as Lease;
    const waiting = Array.from({ length: 6 }, () => budget.take(from('a'), 1));
    await assert.rejects(budget.take(from('a'), 1), refusal);
    waiting.push(budget.take(from('b'), 1));
    assert.equal(budget.waiting, 7);
    lease[Symbol.dispose]();
    await Promise.all(waiting);
  });

  test('gives all there is to one who needs more than that', async () => {
    const budget = budgetOf();
    using lease = await budget.take(from('a'), 1000);
    assert.equal(lease.amount, 100);
  });

  test('never gives more than it has, and gets all back', () => {
    const step = fc.record({
      who: fc.nat(5),
      amount: fc.integer({ min: 1, max: 60 }),
      keep: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = budgetOf();
        const held: Lease[] = [];
        for (const { who, amount, keep } of steps) {
          const lease = budget.tryTake(from(`10.0.0.${who}`, `user${who % 3}`), amount);
          if (lease !== undefined) held.push(lease);
          while (held.length > keep * 2) held.shift()?.[Symbol.dispose]();
          assert.ok(budget.used <= 100);
          assert.equal(
            budget.used,
            held.reduce((sum, one) => sum + one.amount, 0),
          );
        }
        for (const lease of held) lease[Symbol.dispose]();
        assert.equal(budget.used, 0);
      }),
    );
  });
});
