import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTally } from './tally.ts';

function recording(options: { whole?: number; networks?: number } = {}) {
  const lines: [event: string, details: Record<string, unknown>][] = [];
  const tally = createTally<'login' | 'token'>({
    ...options,
    write: (event, details) => void lines.push([event, details]),
  });
  return { tally, lines };
}

test('the first of a network are written whole, of the others how many there were', () => {
  const { tally, lines } = recording({ whole: 2 });
  for (let n = 0; n < 1000; n += 1) tally.record('login', `2001:db8::${n.toString(16)}`, { n });
  tally.record('login', '10.0.0.1', { n: 'other' });
  tally.close();
  const network = '2001:db8:0:0/64';
  assert.deepEqual(
    lines.map(([event, { since, ...details }]) => [event, details]),
    [
      ['login', { n: 0, client: '2001:db8::0' }],
      ['login', { n: 1, client: '2001:db8::1' }],
      ['login', { n: 'other', client: '10.0.0.1' }],
      ['login', { client: network, count: 998 }],
    ],
  );
});

test('events are counted apart, and nothing is said of what was written already', () => {
  const { tally, lines } = recording({ whole: 1 });
  tally.record('login', '10.0.0.1', {});
  tally.record('token', '10.0.0.1', {});
  tally.close();
  assert.equal(lines.length, 2);
});

test('of many networks those beyond a number are counted together', () => {
  const { tally, lines } = recording({ whole: 1, networks: 3 });
  for (let n = 0; n < 100; n += 1) tally.record('login', `10.0.0.${n}`, {});
  tally.close();
  assert.equal(lines.length, 4);
  const [, last] = lines.at(-1) ?? [];
  assert.deepEqual([last?.client, last?.count], ['others', 97]);
});
