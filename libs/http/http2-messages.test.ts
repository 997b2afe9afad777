import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plainHeaders } from './http2-messages.ts';

const headers = {
  ':method': 'PUT',
  ':scheme': 'https',
  ':path': '/v2/',
  ':authority': 'registry.example.com',
  host: 'other.example.com',
  accept: '*/*',
};

describe('plainHeaders', () => {
  test('the authority is the host, and nothing begins with a colon', () => {
    assert.deepEqual(plainHeaders({ ...headers, 'content-length': '5' }, false), {
      host: 'registry.example.com',
      accept: '*/*',
      'content-length': '5',
    });
  });

  test('without an authority the Host header counts', () => {
    const { ':authority': _, ...rest } = headers;
    assert.equal(plainHeaders(rest, false).host, 'other.example.com');
  });

  test('a body without a length is chunked, one that is not there has none', () => {
    assert.equal(plainHeaders(headers, false)['transfer-encoding'], 'chunked');
    assert.equal(plainHeaders(headers, true)['content-length'], '0');
    const get = plainHeaders({ ...headers, ':method': 'GET' }, true);
    assert.deepEqual(Object.keys(get), ['host', 'accept']);
  });

  test('what a client says of the framing of a connection is dropped', () => {
    const plain = plainHeaders({ ...headers, connection: 'close', 'content-length': '5' }, false);
    assert.equal(plain.connection, undefined);
    const chunked = { ...headers, 'transfer-encoding': 'gzip', 'content-length': '5' };
    assert.equal(plainHeaders(chunked, false)['transfer-encoding'], undefined);
  });
});
