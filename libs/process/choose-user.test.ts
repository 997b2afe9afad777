import assert from 'node:assert/strict';
import { chmod, lchown, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { chooseUser, expectUser, ownerOfTree } from './choose-user.ts';
import { chownFile, chownFolder, chownState } from './hand-over.ts';

const ids = { uid: 4321, gid: 4322 };
/** Another user of the machine. */
const neighbour = 5432;

/** A folder of somebody's, with a file in it. */
async function makeFolderOf(uid: number, path: string): Promise<void> {
  await mkdir(path);
  await writeFile(join(path, 'file'), 'mine');
  await lchown(join(path, 'file'), uid, uid);
  await lchown(path, uid, uid);
}

const ownerOf = async (path: string) => (await stat(path)).uid;

describe('root that serves as another user', { skip: process.getuid?.() !== 0 }, () => {
  test('removes nothing of anybody’s, whatever the folder of the sockets is called', async () => {
    const folder = join(tmpdir(), `portcullis-0-${process.pid.toString(16)}`);
    await makeFolderOf(neighbour, folder);
    try {
      const sockets = { folder } as never;
      await assert.rejects(
        chooseUser({ user: ids, storage: { driver: 'inmemory' }, sockets }, () => {}),
        /belongs to another user/,
      );
      assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'mine');
      assert.equal(await ownerOf(folder), neighbour);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('takes a tree to be that of whoever laid the link to it', async () => {
    await using folder = await createTemporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await mkdir(at('roots'));
    await mkdir(at('tree/docker/registry'), { recursive: true });
    await symlink(at('roots'), at('tree/docker/registry/v2'));
    assert.equal((await ownerOfTree(at('tree')))?.uid, 0);
    await lchown(at('tree/docker/registry/v2'), neighbour, neighbour);
    assert.deepEqual(await ownerOfTree(at('tree')), { uid: neighbour, gid: neighbour });
    assert.equal(await ownerOfTree(at('roots')), undefined);
    await mkdir(at('whole/docker/registry/v2'), { recursive: true });
    await symlink(at('whole'), at('link'));
    await lchown(at('link'), neighbour, neighbour);
    assert.deepEqual(await ownerOfTree(at('link')), { uid: neighbour, gid: neighbour });
  });

  test('is expected to do so as it does then, and nothing is changed before', async () => {
    const tree = 'root/docker/registry/v2';
    const made: Record<string, [path: string, uid: number][]> = {
      'nothing there': [],
      'an empty folder of root’s': [['root', 0]],
      'an empty folder of another': [['root', neighbour]],
      'a folder with something of root’s': [
        ['root', 0],
        ['root/other', 0],
      ],
      'a mounted filesystem': [
        ['root', 0],
        ['root/lost+found', 0],
      ],
      'a tree of another': [
        ['root', 0],
        [tree, neighbour],
        [`${tree}/repositories`, neighbour],
      ],
      'a tree of root’s': [[tree, 0]],
      'a tree of both': [
        [tree, neighbour],
        [`${tree}/repositories`, 0],
      ],
      'a tree of two others': [
        [tree, neighbour],
        [`${tree}/repositories`, neighbour + 1],
      ],
    };
    for (const [what, folders] of Object.entries(made)) {
      for (const user of ['owner', ids, undefined] as const) {
        await using folder = await createTemporaryFolder();
        for (const [path, uid] of folders) {
          await mkdir(join(folder.path, path), { recursive: true });
          await lchown(join(folder.path, path), uid, uid);
        }
        const root = join(folder.path, 'root');
        const storage = { driver: 'filesystem', root } as never;
        const owner = () => ownerOf(root).catch(() => undefined);
        const before = await owner();
        const expected = await expectUser({ user, storage });
        assert.equal(await owner(), before, what);
        const sockets = { folder: join(folder.path, 'sockets') } as never;
        const chosen = await chooseUser({ user, storage, sockets }, () => {});
        assert.deepEqual([expected?.uid, expected?.gid], [chosen?.uid, chosen?.gid], what);
        assert.equal(
          expected?.getsRoot === true,
          (await owner()) !== before && user === 'owner',
          what,
        );
      }
    }
    const inMemory = { user: 'owner', storage: { driver: 'inmemory' } } as never;
    assert.deepEqual(await expectUser(inMemory), { uid: 65_532, gid: 65_532, getsRoot: false });
  });

  test('can enter the folders that are made on the way to theirs, whatever the umask', async () => {
    await using folder = await createTemporaryFolder();
    const root = join(folder.path, 'one/two/root');
    const sockets = { folder: join(folder.path, 'sockets') } as never;
    const before = process.umask(0o077);
    try {
      const storage = { driver: 'filesystem', root } as never;
      await chooseUser({ user: 'owner', storage, sockets }, () => {});
      assert.equal(process.umask(), 0o077);
    } finally {
      process.umask(before);
    }
    for (const path of ['one', 'one/two']) {
      assert.equal((await stat(join(folder.path, path))).mode & 0o777, 0o755);
    }
  });

  test('gives away what is in a folder of root’s', async () => {
    await using folder = await createTemporaryFolder();
    const at = (name: string) => join(folder.path, name);
    // A link of root's own, as /var/run is.
    await mkdir(at('real'));
    await symlink('real', at('a'));
    await chownFolder(at('a/sockets'), ids);
    assert.equal(await ownerOf(at('a/sockets')), ids.uid);
    assert.equal(await ownerOf(at('real')), 0);
    await mkdir(at('state/keys'), { recursive: true });
    await chownState(at('state'), ['keys'], ids);
    assert.equal(await ownerOf(at('state/keys')), ids.uid);
    await chownFile(at('audit.log'), ids);
    assert.equal(await ownerOf(at('audit.log')), ids.uid);
  });

  test('gives nothing away by a path on which another can lay a link', async () => {
    await using folder = await createTemporaryFolder();
    const at = (name: string) => join(folder.path, name);
    // What root has elsewhere, and a way to it that the user made.
    await mkdir(at('roots/state/keys'), { recursive: true });
    await writeFile(at('roots/audit.log'), '');
    await mkdir(at('users'));
    await symlink(at('roots'), at('users/way'));
    await lchown(at('users/way'), ids.uid, ids.gid);
    await lchown(at('users'), ids.uid, ids.gid);
    await mkdir(at('users/own/state/keys'), { recursive: true });
    await lchown(at('users/own'), ids.uid, ids.gid);
    for (const name of ['users/own/state', 'users/own/new', 'users/way/state']) {
      await chownFolder(at(name), ids);
      await chownState(at(name), ['keys'], ids);
    }
    for (const way of ['own', 'way']) await chownFile(at(`users/${way}/audit.log`), ids);
    assert.equal(await ownerOf(at('roots/state')), 0);
    assert.equal(await ownerOf(at('roots/state/keys')), 0);
    assert.equal(await ownerOf(at('roots/audit.log')), 0);
    assert.equal(await ownerOf(at('users/own/state')), 0);
    assert.equal(await ownerOf(at('users/own/state/keys')), 0);
    await assert.rejects(stat(at('users/own/new')), { code: 'ENOENT' });
    await assert.rejects(stat(at('users/own/audit.log')), { code: 'ENOENT' });
  });

  test('gives nothing away that a group may exchange meanwhile', async () => {
    await using folder = await createTemporaryFolder();
    const state = join(folder.path, 'state');
    await mkdir(join(state, 'keys'), { recursive: true });
    await writeFile(join(state, 'keys/one.pem'), '');
    await lchown(state, 0, neighbour);
    await chmod(state, 0o2770);
    await chownState(state, ['keys'], ids);
    for (const path of [state, join(state, 'keys'), join(state, 'keys/one.pem')]) {
      assert.equal(await ownerOf(path), 0);
    }
    await chmod(state, 0o2750);
    await chownState(state, ['keys'], ids);
    for (const path of [state, join(state, 'keys'), join(state, 'keys/one.pem')]) {
      assert.equal(await ownerOf(path), ids.uid);
    }
  });

  test('does not stay root for what the owner of a tree has a link in it lead to', async () => {
    await using folder = await createTemporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await mkdir(at('tree/docker/registry/v2/blobs'), { recursive: true });
    await mkdir(at('roots/app'), { recursive: true });
    await symlink(at('roots'), at('tree/docker/registry/v2/repositories'));
    for (const name of [
      '',
      '/docker',
      '/docker/registry',
      '/docker/registry/v2',
      '/docker/registry/v2/blobs',
      '/docker/registry/v2/repositories',
    ]) {
      await lchown(at(`tree${name}`), ids.uid, ids.gid);
    }
    const storage = { driver: 'filesystem', root: at('tree') } as const;
    const sockets = { folder: at('sockets') } as never;
    const choose = async () => await chooseUser({ user: 'owner', storage, sockets }, () => {});
    assert.deepEqual(await choose(), ids);
    // A disk that root has mounted elsewhere for it.
    await lchown(at('tree/docker/registry/v2/repositories'), 0, 0);
    assert.equal(await choose(), undefined);
  });
});
