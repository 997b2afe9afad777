import assert from 'node:assert/strict';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { walkTo } from './path-trust.ts';

test('a way is walked as the kernel does: behind a link, dots lead above what it leads to', async () => {
  await using folder = await createTemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  await mkdir(at('other/inner'), { recursive: true });
  await mkdir(at('here'));
  await symlink(at('other/inner'), at('here/link'));
  const { steps, end } = await walkTo(`${at('here')}/link/../file`);
  assert.equal(end, at('other/file'));
  const links = steps.filter(({ stats }) => stats.isSymbolicLink()).map(({ place }) => place);
  assert.ok(links.includes(at('here/link')));
});

test('what is not there yet is added as it is named, and a circle of links leads nowhere', async () => {
  await using folder = await createTemporaryFolder();
  const { end } = await walkTo(`${folder.path}/a/b`);
  assert.equal(end, join(folder.path, 'a/b'));
  await symlink('loop', join(folder.path, 'loop'));
  assert.equal((await walkTo(`${folder.path}/loop`)).end, undefined);
});
