import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assertSpoken,
  describeUnspoken,
  internalProtocol,
  protocolOf,
} from './internal-protocol.ts';

test('the version before is understood, and the one that was before there were any', () => {
  assert.ok(internalProtocol.oldest < internalProtocol.newest);
  for (const version of [internalProtocol.newest, internalProtocol.newest - 1]) {
    assertSpoken({ 'x-portcullis-protocol': String(version) });
  }
  assert.equal(protocolOf({}), 0);
  assert.equal(protocolOf({ 'x-portcullis-protocol': 'one' }), 0);
});

test('a newer version is for the newer process to judge', () => {
  assertSpoken({ 'x-portcullis-protocol': String(internalProtocol.newest + 5) });
});

test('what is older than that is refused with 503, and the log says what to upgrade', () => {
  assert.throws(() => assertSpoken({ 'x-portcullis-protocol': '2' }, 3), {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the registry is being upgraded; try again',
  });
  assert.match(String(describeUnspoken(2, 3)), /version 2 .* 3 is the oldest.*upgrade it/);
});
