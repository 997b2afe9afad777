import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesToStrip } from './internal-headers.ts';

test('headers of the connection, those it lists, and internal ones are stripped; others stay', () => {
  const headers = {
    connection: 'close, X-Secret',
    'keep-alive': 'timeout=5',
    'transfer-encoding': 'chunked',
    'X-Secret': 'x',
    'X-Portcullis-Client': '1.2.3.4',
    authorization: 'Bearer x',
    accept: '*/*',
  };
  const stripped = new Set(namesToStrip(headers));
  assert.deepEqual(
    Object.keys(headers).filter((name) => !stripped.has(name)),
    ['authorization', 'accept'],
  );
});

test('listing the framing of a body in Connection does not strip it', () => {
  const headers = { connection: 'content-length, Host, authorization', 'content-length': '5' };
  assert.deepEqual(namesToStrip({ ...headers, host: 'x', authorization: 'y' }), ['connection']);
});
