import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eachInTurn, inTurn, parseInTurn } from './in-turn.ts';

/** Keeps the event loop busy. @param time milliseconds */
function keepBusy(time: number): void {
  for (const end = performance.now() + time; performance.now() < end; );
}

describe('what keeps the event loop busy', () => {
  test('leaves it to others for as long as it took, before the next', async () => {
    const log: string[] = [];
    const work = Array.from({ length: 4 }, (_, index) =>
      inTurn(() => {
        log.push(`work ${index}`);
        keepBusy(30);
      }),
    );
    const over = Promise.all(work);
    let isOver = false;
    void over.then(() => {
      isOver = true;
    });
    // Others need several turns of the loop, one after the other: all of them between two pieces of work.
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      if (log.at(-1) !== 'others' && log.length > 0) {
        for (let turn = 0; turn < 5; turn += 1) await new Promise((done) => setImmediate(done));
        log.push('others');
      }
    }
    const expected = [0, 1, 2, 3].flatMap((index) => [`work ${index}`, 'others']);
    assert.deepEqual(log.slice(0, 7), expected.slice(0, 7));
  });

  test('goes on after one that fails, and passes over one that is not wanted any more', async () => {
    const leaving = new AbortController();
    const failed = inTurn(() => {
      throw new Error('cannot be parsed');
    });
    const left = inTurn(() => assert.fail('it was done all the same'), leaving);
    leaving.abort(new Error('it left'));
    const next = inTurn(() => 'done');
    await assert.rejects(failed, /cannot be parsed/);
    await assert.rejects(left, /it left/);
    assert.equal(await next, 'done');
  });

  test('is done for each party in turn, however much one of them wants', async () => {
    const order: string[] = [];
    const want = (party: string, count: number) =>
      Array.from({ length: count }, () => inTurn(() => void order.push(party), { party }));
    await Promise.all([...want('greedy', 10), ...want('ann', 1), ...want('bob', 2)]);
    assert.deepEqual(order.slice(0, 6), ['greedy', 'greedy', 'ann', 'bob', 'greedy', 'bob']);
    assert.equal(order.length, 13);
  });

  test('is large JSON; small JSON waits for nobody', async () => {
    const order: string[] = [];
    const parse = (name: string) => () => void order.push(name);
    await Promise.all([
      parseInTurn(Buffer.alloc(100_000), parse('large')),
      parseInTurn(Buffer.alloc(1000), parse('small')),
    ]);
    assert.deepEqual(order, ['small', 'large']);
  });
});

describe('a row of small things', () => {
  test('is done at once where it takes little', async () => {
    let isOver = false;
    const done = eachInTurn([1, 2, 3], (item) => 2 * item).finally(() => {
      isOver = true;
    });
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    assert.equal(isOver, true);
    assert.deepEqual(await done, [2, 4, 6]);
  });

  test('leaves the event loop to others where it takes longer, and ends when nobody waits', async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const items = Array.from({ length: 10 }, (_, index) => index);
    const busy = (item: number) => {
      keepBusy(5);
      return item;
    };
    assert.deepEqual(await eachInTurn(items, busy), items);
    clearInterval(timer);
    assert.ok(turns >= 5, `${turns}`);
    const gone = new AbortController();
    let done = 0;
    const leaving = eachInTurn(
      items,
      () => {
        done += 1;
        keepBusy(5);
        if (done === 3) gone.abort(new Error('gone'));
      },
      { signal: gone.signal },
    );
    await assert.rejects(leaving, /gone/);
    assert.equal(done, 3);
  });
});
