import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { createJoinedCalls } from './joined-calls.ts';

describe('calls for several who ask the same', () => {
  /** Each call waits until it is answered. */
  function begin(most?: number) {
    const calls = createJoinedCalls<string>(most);
    const asked: {
      ids: readonly string[];
      signal: AbortSignal;
      waited: number;
      answer: PromiseWithResolvers<string>;
    }[] = [];
    const answered = (requestId: string, signal?: AbortSignal, key = 'a') =>
      calls.call(key, { requestId, signal }, (ids, left, waited) => {
        const answer = Promise.withResolvers<string>();
        asked.push({ ids, signal: left, waited, answer });
        return answer.promise;
      });
    const call = async (...args: Parameters<typeof answered>) => (await answered(...args)).answer;
    return { asked, answered, call };
  }

  test('begin after the last of them came', async () => {
    const { asked, call } = begin();
    const first = call('1');
    const others = [call('2'), call('3')];
    await nextTurn();
    assert.deepEqual(
      asked.map(({ ids }) => ids),
      [['1']],
    );
    asked[0]?.answer.resolve('one');
    assert.equal(await first, 'one');
    await nextTurn();
    const late = call('4');
    assert.deepEqual(
      asked.map(({ ids }) => ids),
      [['1'], ['2', '3']],
    );
    asked[1]?.answer.resolve('two');
    assert.deepEqual(await Promise.all(others), ['two', 'two']);
    await nextTurn();
    asked[2]?.answer.resolve('three');
    assert.equal(await late, 'three');
    assert.deepEqual(asked[2]?.ids, ['4']);
    void call('5');
    await nextTurn();
    assert.deepEqual(asked[3]?.ids, ['5']);
  });

  test('are of those only who ask the same, and of so many at most', async () => {
    const { asked, call } = begin(2);
    for (const id of ['1', '2', '3', '4', '5']) void call(id);
    void call('6', undefined, 'b');
    await nextTurn();
    assert.deepEqual(
      asked.map(({ ids }) => ids),
      [['1'], ['6']],
    );
    for (const index of [0, 2, 3]) {
      asked[index]?.answer.resolve('');
      await nextTurn();
    }
    assert.deepEqual(
      asked.map(({ ids }) => ids),
      [['1'], ['6'], ['2', '3'], ['4', '5']],
    );
  });

  test('tell how long the one of them has waited who came first', async () => {
    const { asked, call } = begin();
    void call('1');
    void call('2');
    const came = performance.now();
    await sleep(20);
    void call('3');
    asked[0]?.answer.resolve('');
    await nextTurn();
    const [first, second] = asked;
    assert.ok((first?.waited ?? 0) < 20);
    assert.ok((second?.waited ?? 0) >= 19 && (second?.waited ?? 0) <= performance.now() - came + 1);
  });

  test('that fail are an error for each, and no other ones', async () => {
    const { asked, call } = begin();
    const first = call('1');
    const second = call('2');
    asked[0]?.answer.reject(new Error('away'));
    await assert.rejects(first, /away/);
    await nextTurn();
    asked[1]?.answer.resolve('well');
    assert.equal(await second, 'well');
  });

  test('end when all have left, and not before', async () => {
    const { asked, call } = begin();
    const [one, two, three] = [new AbortController(), new AbortController(), new AbortController()];
    const first = call('1', one.signal);
    const others = [call('2', two.signal), call('3', three.signal)];
    one.abort(new Error('gone'));
    await assert.rejects(first, /gone/);
    assert.equal(asked[0]?.signal.aborted, true);
    two.abort(new Error('gone'));
    await assert.rejects(others[0] as Promise<string>, /gone/);
    asked[0]?.answer.reject(new Error('gone'));
    await nextTurn();
    assert.deepEqual(asked[1]?.ids, ['3']);
    assert.equal(asked[1]?.signal.aborted, false);
    asked[1]?.answer.resolve('well');
    assert.equal(await others[1], 'well');
    await assert.rejects(call('4', AbortSignal.abort(new Error('gone'))), /gone/);
    assert.equal(asked.length, 2);
  });

  test('are in the name of one of them, whatever their ids are', async () => {
    const { asked, answered } = begin();
    void answered('1');
    const others = [answered('same'), answered('same')];
    asked[0]?.answer.resolve('');
    await nextTurn();
    asked[1]?.answer.resolve('');
    const isFirst = (await Promise.all(others)).map((one) => one.isFirst);
    assert.deepEqual(isFirst, [true, false]);
  });

  test('that all have left are joined by nobody', async () => {
    const most = 2;
    const { asked, call } = begin(most);
    void call('1');
    const left = new AbortController();
    const gone = Array.from({ length: 2 * most + 1 }, () => call('2', left.signal));
    left.abort(new Error('gone'));
    for (const one of gone) await assert.rejects(one, /gone/);
    const others = [call('3'), call('4')];
    asked[0]?.answer.resolve('');
    await nextTurn();
    await nextTurn();
    assert.deepEqual(asked[1]?.ids, ['3', '4']);
    asked[1]?.answer.resolve('well');
    assert.deepEqual(await Promise.all(others), ['well', 'well']);
  });

  test('of nobody are not made', async () => {
    const { asked, call } = begin();
    void call('1');
    const left = new AbortController();
    const second = call('2', left.signal);
    left.abort(new Error('gone'));
    await assert.rejects(second, /gone/);
    asked[0]?.answer.resolve('');
    await nextTurn();
    assert.equal(asked.length, 1);
    void call('3');
    await nextTurn();
    assert.deepEqual(asked[1]?.ids, ['3']);
  });
});
