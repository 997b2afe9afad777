import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsOf } from '../../../test/support/settings-of.ts';

const settingsWith = async (cost: string) =>
  await settingsOf(`auth: { htpasswd: { realm: x, path: /nowhere } }
portcullis: { users: { ann: { password: "$2y$${cost}$${'a'.repeat(53)}" } } }`);

test('a configured user whose hash would take hours to compare stops the start', async () => {
  assert.equal((await settingsWith('17')).auth?.users.has('ann'), true);
  await assert.rejects(settingsWith('31'), /portcullis\.users\.ann\.password: .*cost 31, above 17/);
});
