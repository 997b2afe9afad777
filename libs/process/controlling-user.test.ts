import assert from 'node:assert/strict';
import { chmod, chown, lchown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import {
  assertNoLinkOfOthers,
  changeableByOthers,
  controllerOf,
  linkerTo,
} from './controlling-user.ts';

const other = 65_532;

describe('who decides where a path leads', { skip: process.getuid?.() !== 0 }, () => {
  let folder: TemporaryFolder;
  let at: (...names: string[]) => string;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    at = (...names) => join(folder.path, ...names);
    for (const name of ['ours', 'theirs', 'theirs/below', 'sticky']) await mkdir(at(name));
    for (const name of ['ours/file', 'theirs/file', 'sticky/file']) await writeFile(at(name), '');
    await chown(at('theirs'), other, other);
    await chmod(at('sticky'), 0o1777);
  });

  afterEach(() => folder.remove());

  const isTheirs = async (path: string) => (await controllerOf(path))?.uid === other;

  test('is nobody but root where all folders are its own', async () => {
    await symlink('../ours', at('ours', 'link'));
    for (const path of ['ours', 'ours/file', 'ours/none/at/all', 'ours/link/link/file']) {
      assert.equal(await controllerOf(at(path)), undefined, path);
    }
    await chown(at('ours', 'file'), other, other);
    assert.equal(await controllerOf(at('ours', 'file')), undefined, 'only the file is theirs');
  });

  test('is the owner of a folder on the way, whosever what lies in it is', async () => {
    assert.deepEqual(await controllerOf(at('theirs')), { uid: other, gid: other });
    for (const path of ['theirs/file', 'theirs/below', 'theirs/none']) {
      assert.ok(await isTheirs(at(path)), path);
    }
  });

  test('is the owner of a link, wherever it leads', async () => {
    await symlink(at('sticky'), at('theirs', 'auth'));
    await symlink('/etc', at('sticky', 'link'));
    await lchown(at('sticky', 'link'), other, other);
    assert.ok(await isTheirs(at('theirs', 'auth', 'file')));
    assert.ok(await isTheirs(at('sticky', 'link', 'passwd')));
    await symlink(at('theirs'), at('ours', 'link'));
    assert.ok(await isTheirs(at('ours', 'link', 'file')));
  });

  test('is refused where root would make something by their link', async () => {
    await symlink(at('ours'), at('theirs', 'link'));
    await lchown(at('theirs', 'link'), other, other);
    await assert.rejects(
      assertNoLinkOfOthers(at('theirs', 'link', 'x.sock'), 'http.addr'),
      /http\.addr: .* a link of user 65532, which root does not follow/,
    );
    await assertNoLinkOfOthers(at('theirs', 'x.sock'), 'http.addr');
    assert.deepEqual(await linkerTo(at('theirs', 'link')), { uid: other, gid: other });
    assert.equal(await linkerTo(at('theirs')), undefined);
  });

  test('is the owner of a file that they may put a link in place of', async () => {
    await chown(at('sticky', 'file'), other, other);
    assert.ok(await isTheirs(at('sticky', 'file')));
  });

  test('is not the user for whom root acts', async (context) => {
    context.after(() => {
      delete process.env.SUDO_UID;
    });
    process.env.SUDO_UID = `${other}`;
    assert.equal(await controllerOf(at('theirs', 'file')), undefined);
  });

  test('is anybody who may write the file or what leads there, where its text counts', async () => {
    const file = at('ours', 'file');
    assert.equal(await changeableByOthers(file), undefined);
    assert.equal(await changeableByOthers(at('sticky', 'file')), undefined);
    await chown(file, 0, other);
    assert.equal(await changeableByOthers(file), undefined);
    for (const mode of [0o664, 0o646]) {
      await chmod(file, mode);
      assert.equal(await changeableByOthers(file), file);
    }
    await chmod(file, 0o644);
    await chown(file, other, 0);
    assert.equal(await changeableByOthers(file), file);
    await chown(file, 0, 0);
    await chown(at('ours'), 0, other);
    await chmod(at('ours'), 0o775);
    assert.equal(await changeableByOthers(file), at('ours'));
    assert.equal(await changeableByOthers(at('theirs', 'file')), at('theirs'));
  });
});
