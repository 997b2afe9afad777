import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RegistryError } from '#libs/oci/errors.ts';
import type { Lane } from '../limits/login-limits.ts';
import type { BcryptPool } from './bcrypt-pool.ts';
import { createComparisonQueue } from './comparison-queue.ts';

/** At this cost a comparison is expected to take about 65 ms before any was measured. */
const cost = 10;

/** Milliseconds that it takes then. */
const expected = 65;

/** A pool that works one after another, when the test lets it. */
function createSteppedPool() {
  const begun: string[] = [];
  const ends: ((duration?: number) => void)[] = [];
  const pool: BcryptPool = {
    size: 1,
    run: (work) =>
      new Promise((resolve) => {
        begun.push(work.password);
        ends.push((duration = expected) => resolve({ answer: true, duration } as never));
      }),
    close: async () => {},
  };
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  return {
    pool,
    begun,
    async step(duration?: number) {
      ends.shift()?.(duration);
      await settle();
    },
    settle,
  };
}

function start() {
  const stepped = createSteppedPool();
  const outcomes: string[] = [];
  const queue = createComparisonQueue({
    pool: stepped.pool,
    onEnd: (outcome) => outcomes.push(outcome),
  });
  const compare = (password: string, network: string, lane: Lane = 'other', signal?: AbortSignal) =>
    queue.compare({ password, hash: '', cost, network, lane, signal });
  return { ...stepped, outcomes, compare };
}

const isShed = (error: unknown) => {
  assert.ok(error instanceof RegistryError);
  assert.equal(error.code, 'TOOMANYREQUESTS');
  assert.ok((error.retryAfter ?? 0) >= 2, `${error.retryAfter}`);
  return true;
};

describe('passwords that wait to be compared', () => {
  test('networks are served in turn, however much one of them asks', async () => {
    const { compare, begun, step, settle } = start();
    const all = [1, 2, 3, 4].map((n) => compare(`a${n}`, 'a'));
    all.push(compare('b1', 'b'), compare('b2', 'b'), compare('c1', 'c'));
    await settle();
    for (let n = 0; n < all.length; n += 1) await step();
    await Promise.all(all);
    assert.deepEqual(begun, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  });

  test('known logins come first, then first attempts', async () => {
    const { compare, begun, step } = start();
    const all = [
      compare('running', 'a'),
      compare('other', 'a', 'other'),
      compare('first', 'b', 'first'),
      compare('known', 'c', 'known'),
    ];
    for (let n = 0; n < all.length; n += 1) await step();
    await Promise.all(all);
    assert.deepEqual(begun, ['running', 'known', 'first', 'other']);
  });

  test('what would wait longer than 2.5 s is told so at once, and known logins are not', async () => {
    const { compare, step, outcomes, settle } = start();
    const others = Array.from({ length: 200 }, (_, n) => compare(`${n}`, `network ${n}`));
    const results = Promise.allSettled(others);
    await settle();
    const shed = outcomes.filter((outcome) => outcome === 'shed').length;
    assert.ok(shed > 150 && shed < 170, `${shed}`);
    await assert.rejects(compare('late', 'late'), isShed);
    const known = compare('known', 'known', 'known');
    const first = compare('first', 'first', 'first');
    for (let n = 0; n < 200; n += 1) await step();
    assert.deepEqual(await Promise.all([known, first]), [true, true]);
    await results;
  });

  test('where there is no room, who asked least lately gets that of who asked most', async () => {
    const { compare, begun, step, settle } = start();
    const all: Promise<unknown>[] = [];
    // A hundred networks, each of which comes again as soon as it is told to come later.
    for (let round = 0; round < 5; round += 1) {
      for (let n = 0; n < 100; n += 1) {
        all.push(compare(`${n}`, `network ${n}`, 'first').catch(() => {}));
        await settle();
      }
    }
    const newcomer = compare('newcomer', 'elsewhere', 'first');
    for (let n = 0; n < 100; n += 1) await step();
    assert.equal(await newcomer, true);
    assert.ok(begun.includes('newcomer'));
    for (let n = 0; n < 500; n += 1) await step();
    await Promise.all(all);
  });

  test('a network that asks for much does not make another one’s first wait', async () => {
    const { compare, begun, step, settle } = start();
    const many = Promise.allSettled(Array.from({ length: 300 }, (_, n) => compare(`a${n}`, 'a')));
    await settle();
    const one = compare('b', 'b');
    for (let n = 0; n < 3; n += 1) await step();
    assert.deepEqual(begun.slice(0, 3), ['a0', 'a1', 'b']);
    assert.equal(await one, true);
    for (let n = 0; n < 300; n += 1) await step();
    await many;
  });

  test('what threads worked tells how long a wait will be, and not how long they took to start', async () => {
    const { compare, step } = start();
    const first = compare('first', 'a');
    await sleep(300);
    await step(expected);
    await first;
    // 35 of 65 ms each.
    const burst = Array.from({ length: 35 }, (_, n) => compare(`${n}`, `network ${n}`));
    const settled = Promise.allSettled(burst);
    for (let n = 0; n < 35; n += 1) await step();
    assert.deepEqual(
      (await settled).filter(({ status }) => status === 'rejected'),
      [],
    );
  });

  test('work for a client that has left is dropped', async () => {
    const { compare, begun, step, outcomes } = start();
    const controller = new AbortController();
    const running = compare('running', 'a');
    const left = compare('left', 'b', 'known', controller.signal);
    const next = compare('next', 'c');
    controller.abort(new Error('the server stops'));
    await assert.rejects(left, { message: 'the server stops' });
    await step();
    await step();
    await Promise.all([running, next]);
    assert.deepEqual(begun, ['running', 'next']);
    assert.deepEqual(outcomes, ['compared', 'left', 'compared']);
    await assert.rejects(compare('gone', 'a', 'known', controller.signal), {
      message: 'the server stops',
    });
  });
});
