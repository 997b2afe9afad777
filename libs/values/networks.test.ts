import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNetworks } from './networks.ts';

test('an address is in a network by its prefix, and every other is not', () => {
  const known = createNetworks(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'], 'here');
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8:1::1', '::1']) {
    assert.ok(known(address), address);
  }
  for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '::2', '', 'a', '10.1.2']) {
    assert.ok(!known(address), address);
  }
});

test('what is nearly a range is refused: none of it may mean the whole world', () => {
  const wrong = [
    ...['10.0.0.0/', '10.0.0.0/ ', '10.0.0.0/ 8', '10.0.0.0/8/9', '10.0.0.0//8', '/8', '/', ''],
    ...['10.0.0.0/+8', '10.0.0.0/8.0', '10.0.0.0/0x8', '10.0.0.0/1e1', '10.0.0.0/33', '10.0.0/8'],
    ...['::/', '::1/129', '2001:db8::/-1', ' 10.0.0.1', '10.0.0.1 ', '*', 'all', 'fe80::1%eth0/64'],
    ...['10.0.0.0-10.0.0.9', '10.0.0.0/255.0.0.0', '010.0.0.1', '::ffff:10.0.0.0/64'],
  ];
  for (const entry of wrong) {
    assert.throws(
      () => createNetworks(['127.0.0.1', entry], 'portcullis.gateway.trustedproxies'),
      /^Error: portcullis\.gateway\.trustedproxies: ".*" is neither an address nor a range/,
      entry,
    );
  }
});

test('an IPv4 range that is written as IPv6 is that range', () => {
  const known = createNetworks(['::ffff:10.0.0.0/104', '::ffff:192.0.2.7'], 'here');
  for (const address of ['10.9.9.9', '192.0.2.7', '::ffff:192.0.2.7']) assert.ok(known(address));
  assert.ok(!known('11.0.0.1'));
});
