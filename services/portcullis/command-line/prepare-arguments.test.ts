import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareArguments } from './prepare-arguments.ts';

test('what the original and people write becomes what the table understands', () => {
  const id = `-${'A'.repeat(42)}`;
  for (const [given, expected] of [
    [[], ['--help']],
    [['/etc/x.yml'], ['serve', '/etc/x.yml']],
    [['x.yaml'], ['serve', 'x.yaml']],
    [
      ['garbage-collect', '--dry-run=true', '-m=false', '--quiet=T', '-d=0', 'x.yml'],
      ['garbage-collect', '--dry-run', '--quiet', 'x.yml'],
    ],
    [
      ['keys', 'revoke', id, '--state', '/s'],
      ['keys', 'revoke', '--state', '/s', '--', id],
    ],
    [
      ['keys', 'revoke', 'abc'],
      ['keys', 'revoke', 'abc'],
    ],
    [
      ['user', 'add', id],
      ['user', 'add', id],
    ],
  ] as const) {
    assert.deepEqual(prepareArguments(given), expected);
  }
});
