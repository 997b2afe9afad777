import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyClientsRefuse } from './signing-authority.ts';

test('clients refuse what an authority signed whose time is over, or that is none', () => {
  const [past, future] = [new Date('2021-01-01T00:00:00Z'), new Date(Date.now() + 60_000)];
  assert.equal(whyClientsRefuse({ ca: true, validToDate: future }), undefined);
  assert.match(
    whyClientsRefuse({ ca: true, validToDate: past }) ?? '',
    /was good until 2021-01-01/,
  );
  assert.match(whyClientsRefuse({ ca: false, validToDate: future }) ?? '', /CA:FALSE/);
});
