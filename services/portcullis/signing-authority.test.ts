import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyClientsRefuse } from './signing-authority.ts';

test('clients refuse what an authority signed whose time is over, or that is none', () => {
  const [past, future] = [new Date('2021-01-01T00:00:00Z'), new Date(Date.now() + 60_000)];
  const root = { ca: true, subject: 'CN=a', issuer: 'CN=a', validToDate: future };
  assert.equal(whyClientsRefuse(root), undefined);
  assert.equal(whyClientsRefuse({ ...root, ca: false }), undefined, 'of version 1');
  assert.match(whyClientsRefuse({ ...root, validToDate: past }) ?? '', /was good until 2021-01-01/);
  assert.match(whyClientsRefuse({ ...root, ca: false, issuer: 'CN=b' }) ?? '', /CA:FALSE/);
});
