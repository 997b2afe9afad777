import assert from 'node:assert/strict';
import { IncomingMessage, type ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pipeAnswer } from './pipe-answer.ts';

/** A client that takes a piece when it is told to. */
class SlowClient extends Writable {
  readonly waiting: ((error?: Error) => void)[] = [];
  readonly pieces: Buffer[] = [];

  constructor() {
    super({ highWaterMark: 1024 });
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.pieces.push(piece);
    this.waiting.push(done);
  }
}

describe('the body of an answer', () => {
  function begin() {
    const incoming = new IncomingMessage(new Socket());
    const client = new SlowClient();
    pipeAnswer(incoming, client as unknown as ServerResponse);
    return { incoming, client };
  }
  const piece = () => Buffer.allocUnsafeSlow(4096).fill('a');

  test('comes no faster than the client takes it', async () => {
    const { incoming, client } = begin();
    for (let count = 0; count < 50; count += 1) incoming.push(piece());
    await nextTurn();
    assert.equal(incoming.isPaused(), true);
    assert.ok(incoming.readableLength > 40 * 4096, `${incoming.readableLength} bytes`);
    client.waiting.shift()?.();
    await nextTurn();
    await nextTurn();
    assert.equal(client.pieces.length, 2);
  });

  test('is freed piece by piece, each when it was taken', async () => {
    const { incoming, client } = begin();
    const [first, second] = [piece(), piece()];
    incoming.push(first);
    incoming.push(second);
    await nextTurn();
    assert.deepEqual([first.length, second.length], [4096, 4096]);
    client.waiting.shift()?.();
    await nextTurn();
    assert.deepEqual([first.length, second.length], [0, 4096]);
  });

  test('is left to a connection that failed, which may still have it', async () => {
    const { incoming, client } = begin();
    client.on('error', () => {});
    const first = piece();
    incoming.push(first);
    await nextTurn();
    client.waiting.shift()?.(new Error('gone'));
    await nextTurn();
    incoming.push(piece());
    await nextTurn();
    assert.equal(first.length, 4096);
    assert.equal(client.pieces.length, 1);
  });
});
