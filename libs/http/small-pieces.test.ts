import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { countPieces, SmallPieces } from './small-pieces.ts';

describe('small pieces of a body', () => {
  function open() {
    const body = new Readable({ read() {}, highWaterMark: 100 });
    const kept: (number | undefined)[] = [];
    const pieces = new SmallPieces(body, (chunk) => {
      kept.push(chunk?.length);
      return body.push(chunk);
    });
    return { body, kept, pieces };
  }

  test('that come together are kept as one, in their order', async () => {
    const { body, kept, pieces } = open();
    for (const text of ['a', 'bc', '']) pieces.push(Buffer.from(text));
    pieces.push(Buffer.alloc(2000, 'd'));
    pieces.push(Buffer.from('e'));
    pieces.push(null);
    assert.deepEqual(kept, [3, 2000, 1, undefined]);
    assert.equal(String(Buffer.concat(await body.toArray())), `abc${'d'.repeat(2000)}e`);
  });

  test('do not wait for others', async () => {
    const { kept, pieces } = open();
    pieces.push(Buffer.from('a'));
    await new Promise(setImmediate);
    assert.deepEqual(kept, [1]);
  });

  test('say when there are too many to go on', () => {
    const { pieces } = open();
    assert.equal(pieces.push(Buffer.alloc(60)), true);
    assert.equal(pieces.push(Buffer.alloc(60)), false);
  });

  test('are forgotten with their body', async () => {
    const { body, kept, pieces } = open();
    pieces.push(Buffer.from('a'));
    body.destroy();
    await new Promise(setImmediate);
    assert.deepEqual(kept, []);
  });
});

test('pieces are wasteful where a thousand carry next to nothing', () => {
  /** How often they are, where each takes so many milliseconds. */
  const outcome = (sizeOf: (index: number) => number, time = 0) => {
    let calls = 0;
    let clock = 0;
    const count = countPieces(
      () => {
        calls += 1;
      },
      () => clock,
    );
    for (let index = 0; index < 20_000; index += 1) {
      count(sizeOf(index));
      clock += time;
    }
    return calls;
  };
  const one = () => 1;
  assert.equal(outcome(one), 20);
  const enough = () => 64;
  assert.equal(outcome(enough), 0);
  const mixed = (index: number) => (index % 100 === 0 ? 6400 : 0);
  assert.equal(outcome(mixed), 0);
  const slowly = 11;
  assert.equal(outcome(one, slowly), 0);
});
