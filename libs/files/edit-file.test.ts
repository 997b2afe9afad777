import assert from 'node:assert/strict';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { editFile } from './edit-file.ts';

test('of many who change a file at once none loses what it wrote', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'new/file');
  const numbers = Array.from({ length: 20 }, (_, index) => `${index}`);
  await Promise.all(numbers.map((number) => editFile(path, (text = '') => `${text}${number}\n`)));
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  assert.deepEqual(lines.sort(), numbers.sort());
  assert.deepEqual(await readdir(join(folder.path, 'new')), ['file'], 'nothing is left behind');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('a file keeps its mode, and what cannot be made leaves it as it was', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'old');
  await chmod(path, 0o640);
  await editFile(path, (text) => `${text} and new`);
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  const fail = () => {
    throw new Error('no');
  };
  await assert.rejects(editFile(path, fail), /^Error: no$/);
  assert.equal(await readFile(path, 'utf8'), 'old and new');
  assert.deepEqual(await readdir(folder.path), ['file']);
});

test('a file of another owner, or group, stays theirs, and changes where this user may write to it', {
  skip: process.getuid?.() !== 0,
}, async () => {
  for (const [uid, gid, mode, isWritable] of [
    [0, 0, 0o666, true],
    [4321, 5678, 0o640, true],
    [0, 0, 0o644, false],
  ] as const) {
    await using folder = await createTemporaryFolder();
    const path = join(folder.path, 'file');
    await writeFile(path, 'the first text');
    await chown(path, uid, gid);
    await chmod(path, mode);
    await chmod(folder.path, 0o777);
    process.seteuid?.(4321);
    try {
      const edited = editFile(path, () => 'the second');
      if (isWritable) await edited;
      else
        await assert.rejects(edited, /file belongs to 0:0, .*; run it as that user, or as root$/);
    } finally {
      process.seteuid?.(0);
    }
    assert.equal(await readFile(path, 'utf8'), isWritable ? 'the second' : 'the first text');
    const found = await stat(path);
    assert.deepEqual([found.uid, found.gid, found.mode & 0o777], [uid, gid, mode]);
    assert.deepEqual(await readdir(folder.path), ['file']);
  }
});

test('a lock that somebody left long ago is superseded, and of many who find it none loses what it wrote', async () => {
  await using folder = await createTemporaryFolder();
  const longAgo = Date.now() / 1000 - 3600;
  for (let round = 0; round < 10; round += 1) {
    const path = join(folder.path, `file-${round}`);
    for (const left of [`${path}.lock`, `${path}.lock.3`]) {
      await writeFile(left, '');
      await utimes(left, longAgo, longAgo);
    }
    const numbers = Array.from({ length: 12 }, (_, index) => `${index}`);
    await Promise.all(numbers.map((number) => editFile(path, (text = '') => `${text}${number}\n`)));
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    assert.deepEqual(lines.sort(), numbers.sort());
    assert.ok((await stat(`${path}.lock.3`)).isFile(), 'nobody removes what is another’s');
  }
});

test('who held a lock for so long that it was superseded begins anew, and loses nothing of the other', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'first');
  let asked = 0;
  await editFile(path, async (text) => {
    asked += 1;
    if (asked === 1) {
      // Held up: to others its lock is long nobody's.
      const longAgo = Date.now() / 1000 - 3600;
      await utimes(`${path}.lock.1`, longAgo, longAgo);
      await editFile(path, (before) => `${before} second`);
    }
    return `${text} third`;
  });
  assert.equal(await readFile(path, 'utf8'), 'first second third');
  assert.deepEqual(await readdir(folder.path), ['file']);
});

test('what a program writes that knows nothing of the lock is not lost', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'first');
  let asked = 0;
  await editFile(path, async (text) => {
    asked += 1;
    if (asked === 1) await writeFile(path, 'theirs');
    return `${text} ours`;
  });
  assert.equal(await readFile(path, 'utf8'), 'theirs ours');
});

test('a lock that is left from before the clock was set back is superseded', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(`${path}.lock.1`, '');
  const later = new Date(Date.now() + 3_600_000);
  await utimes(`${path}.lock.1`, later, later);
  await editFile(path, () => 'written');
  assert.equal(await readFile(path, 'utf8'), 'written');
});

test('root follows no link in a folder that others may write to, whenever it is laid', {
  skip: process.getuid?.() !== 0,
}, async () => {
  await using folder = await createTemporaryFolder();
  const [secret, open] = [join(folder.path, 'secret'), join(folder.path, 'open')];
  await writeFile(secret, 'precious');
  await mkdir(open);
  await symlink(secret, join(open, 'ours'));
  await editFile(join(open, 'ours'), (text) => `${text} still`);
  assert.equal(await readFile(secret, 'utf8'), 'precious still', 'nobody else can have laid it');
  for (const mode of [0o1777, 0o775]) {
    await chmod(open, mode);
    await assert.rejects(
      editFile(join(open, 'ours'), () => 'lost'),
      /is a link that .*others could have laid; name the file/,
    );
    const path = join(open, `late-${mode}`);
    const lay = async () => {
      await symlink(secret, path);
      return 'lost';
    };
    await assert.rejects(editFile(path, lay), /others could have laid/);
    assert.equal(await readFile(secret, 'utf8'), 'precious still');
  }
});
