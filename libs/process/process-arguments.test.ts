import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatProcessArguments, parseProcessArguments } from './process-arguments.ts';

test('the arguments of a process are read as they are written', () => {
  const all = { config: '/a b/c.yml', worker: 3, sockets: '/run/x', isSupervised: true };
  const none = { config: undefined, worker: 1, sockets: undefined, isSupervised: false };
  for (const given of [all, none, { ...none, sockets: '/s' }, { ...all, config: undefined }]) {
    assert.deepEqual(parseProcessArguments(formatProcessArguments(given)), given);
  }
  assert.deepEqual(formatProcessArguments(none), []);
});

test('others are refused with their form', () => {
  for (const words of [['--worker', '0'], ['--worker'], ['a', 'b'], ['--nonsense']]) {
    assert.throws(() => parseProcessArguments(words), /the arguments are \[CONFIG\]/, `${words}`);
  }
});
