import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHtpasswd } from './htpasswd.ts';

const hashOf = (cost: string) => `$2y$${cost}$${'a'.repeat(53)}`;

test('a hash that would take hours to compare lets nobody in', () => {
  const text = `ann:${hashOf('17')}\nbob:${hashOf('18')}\neve:${hashOf('31')}\n`;
  const { accounts, refused, problems } = parseHtpasswd(text);
  assert.deepEqual([...accounts.keys()], ['ann']);
  assert.deepEqual([...refused], ['bob', 'eve']);
  assert.match(
    problems[1] ?? '',
    /^user "eve" is refused: the hash has cost 31, above 17: .*user passwd$/,
  );
});
