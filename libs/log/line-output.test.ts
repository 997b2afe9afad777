import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { beforeEach, describe, test } from 'node:test';
import { createLineOutput, type LineOutput } from './line-output.ts';

const MiB = 1024 * 1024;

describe('lines to a stream', () => {
  let written: string;
  /** What the stream does with the next write: takes it, waits, or fails with a code. */
  let answer: 'take' | 'wait' | 'EPIPE' | 'ENOSPC';
  let goOn: () => void;
  let attempts: number;
  let time: number;
  let stream: Writable;
  let output: LineOutput;

  beforeEach(() => {
    written = '';
    answer = 'take';
    attempts = 0;
    time = 0;
    stream = new Writable({
      decodeStrings: false,
      // As a standard stream of Node, which goes on after an error.
      destroy(error, done) {
        done(error);
        (this as Writable & { _undestroy(): void })._undestroy();
      },
      write(chunk: string, _, done) {
        attempts += 1;
        const take = () => {
          written += chunk;
          done();
        };
        if (answer === 'take') take();
        else if (answer === 'wait') goOn = take;
        else done(Object.assign(new Error(answer), { code: answer }));
      },
    });
    output = createLineOutput(stream, {
      describeLoss: (lines) => `${lines} lost\n`,
      now: () => time,
    });
  });

  const settle = () => new Promise((resolve) => setImmediate(resolve));

  test('are written as they come', () => {
    output.write('a\n');
    output.write('b\n');
    assert.equal(written, 'a\nb\n');
  });

  test('wait for a reader within a bound, and what was lost is said', async () => {
    answer = 'wait';
    const line = `${'x'.repeat(MiB - 1)}\n`;
    for (let count = 0; count < 20; count += 1) output.write(line);
    assert.ok(stream.writableLength <= 5 * MiB, `${stream.writableLength}`);
    answer = 'take';
    goOn();
    await settle();
    output.write('later\n');
    const kept = written.split('\n').filter((text) => text.startsWith('x')).length;
    assert.ok(kept >= 4 && kept < 20);
    assert.match(written, new RegExp(`\n${20 - kept} lost\nlater\n$`));
  });

  test('that waited for a write that failed are counted, too', async () => {
    answer = 'wait';
    output.write('a\n');
    output.write('b\n');
    answer = 'ENOSPC';
    goOn();
    await settle();
    time = 2000;
    output.write('c\n');
    await settle();
    answer = 'take';
    time = 4000;
    output.write('d\n');
    assert.equal(written, 'a\n2 lost\nd\n');
  });

  test('end where the reader is gone, and cost nothing more', async () => {
    answer = 'EPIPE';
    output.write('a\n');
    await settle();
    for (let count = 0; count < 100; count += 1) output.write('b\n');
    time = 1e6;
    output.write('c\n');
    assert.equal(attempts, 1);
  });
});
