import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networksOf } from './client-networks.ts';

test('an IPv4 address is a network of its own, however it is written', () => {
  for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '::ffff:c000:207', '0::ffff:c000:0207']) {
    assert.deepEqual(networksOf(address), ['192.0.2.7']);
  }
});

test('an IPv6 address counts for its /64, its /56 and its /48', () => {
  const networks = ['2001:db8:1:23/64', '2001:db8:1:0/56', '2001:db8:1/48'];
  for (const address of [
    '2001:db8:1:23::7',
    '2001:0DB8:0001:0023:0:0:0:9',
    '2001:db8:1:23::%eth0',
  ]) {
    assert.deepEqual(networksOf(address), networks);
  }
  assert.deepEqual(networksOf('::1'), ['0:0:0:0/64', '0:0:0:0/56', '0:0:0/48']);
  assert.deepEqual(networksOf('fe80::'), ['fe80:0:0:0/64', 'fe80:0:0:0/56', 'fe80:0:0/48']);
});

test('what is no address stands for itself', () => {
  assert.deepEqual(networksOf(''), ['']);
  assert.deepEqual(networksOf('@unix'), ['@unix']);
});
