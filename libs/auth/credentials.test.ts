import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAuthorization } from './credentials.ts';

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

test('no header is no credentials', () => {
  assert.deepEqual(parseAuthorization(undefined), { scheme: 'none' });
  assert.deepEqual(parseAuthorization(''), { scheme: 'none' });
});

test('name and password of Basic are split at the first colon', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }).filter((text) => !text.includes(':')),
      fc.string({ unit: 'grapheme' }),
      (account, password) => {
        assert.deepEqual(parseAuthorization(basic(`${account}:${password}`)), {
          scheme: 'basic',
          account,
          password,
        });
      },
    ),
  );
});

test('the scheme is read whatever its case', () => {
  assert.equal(parseAuthorization(basic('a:b').replace('Basic', 'bAsIc')).scheme, 'basic');
  assert.deepEqual(parseAuthorization('BEARER a.b.c'), { scheme: 'bearer', token: 'a.b.c' });
});

test('what cannot be read is malformed, and never throws', () => {
  for (const header of [
    'Basic',
    'Basic !!!',
    'Basic YQ=a',
    basic('nocolon'),
    'Bearer',
    'Bearer a b',
    'Digest x',
    'x',
  ]) {
    assert.equal(parseAuthorization(header).scheme, 'malformed', header);
  }
  const bytes = Buffer.from([0xff, 0x3a, 0xff]).toString('base64');
  assert.equal(parseAuthorization(`Basic ${bytes}`).scheme, 'malformed');
  fc.assert(fc.property(fc.string(), (header) => void parseAuthorization(header)));
});
