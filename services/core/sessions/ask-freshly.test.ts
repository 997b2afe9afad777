import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AnswersLateError, askFreshly } from './ask-freshly.ts';

describe('an answer that must tell of now', () => {
  /** How often it is asked for, each answer taking so many milliseconds. */
  async function countOf(...times: readonly number[]): Promise<number> {
    let [time, asked] = [0, 0];
    const ask = async () => {
      time += times[Math.min(asked, times.length - 1)] ?? 0;
      asked += 1;
    };
    await askFreshly(ask, { longest: 5000, now: () => time });
    return asked;
  }

  test('is asked for again until it comes at once', async () => {
    assert.equal(await countOf(10), 1);
    assert.equal(await countOf(12_000, 10), 2);
    assert.equal(await countOf(250, 6000, 10), 3);
  });

  test('may be late where all are', async () => {
    assert.equal(await countOf(250), 4);
    assert.equal(await countOf(6000, 250), 4);
  });

  test('is not waited for where each is too old to tell anything', async () => {
    await assert.rejects(countOf(6000), AnswersLateError);
  });
});
