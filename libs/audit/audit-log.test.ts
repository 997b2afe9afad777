import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { open, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { run } from '../../test/support/run.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { assertAuditLog, openAuditLog } from './audit-log.ts';

describe('the audit log in a file', () => {
  test('is asked for before anything is served without it', async () => {
    await using folder = await createTemporaryFolder();
    const of = (path: string) => () => assertAuditLog({ path, stream: undefined });
    assert.throws(of(folder.path), /^Error: portcullis\.audit: .* cannot be written by this user/);
    assert.throws(of(join(folder.path, 'absent/log')), /portcullis\.audit/);
    of(join(folder.path, 'log'))();
    assertAuditLog(undefined);
    assertAuditLog({ path: join(folder.path, 'new'), stream: undefined }, 'check');
    assert.deepEqual(await readdir(folder.path), ['log']);
  });

  test('is no pipe, for which whoever writes would wait without an end', async () => {
    await using folder = await createTemporaryFolder();
    const path = join(folder.path, 'pipe');
    assert.equal((await run('mkfifo', [path])).code, 0);
    const assertOpen = () => assertAuditLog({ path, stream: undefined });
    assert.throws(assertOpen, /is a pipe or a socket; name a file/);
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      assert.throws(assertOpen, /is a pipe or a socket; name a file/);
    } finally {
      await reader.close();
    }
  });

  test('may be on a disk that is full, which has room again', async (context) => {
    await using folder = await createTemporaryFolder();
    const options = ['-o', 'nr_inodes=1', '-t', 'tmpfs', 'tmpfs', folder.path];
    if ((await run('mount', options)).code !== 0) {
      context.skip('nothing can be mounted here');
      return;
    }
    try {
      const path = join(folder.path, 'log');
      await assert.rejects(writeFile(path, ''), { code: 'ENOSPC' });
      assertAuditLog({ path, stream: undefined });
    } finally {
      assert.equal((await run('umount', [folder.path])).code, 0);
    }
  });

  test('says how many lines a full disk cost, all that waited for it included', async (context) => {
    const folder = await createTemporaryFolder();
    context.after(() => folder.remove());
    const [path, file] = [join(folder.path, 'audit.log'), join(folder.path, 'file')];
    await symlink('/dev/full', path);
    const { log } = createRecordingLog();
    const audit = openAuditLog({ path, stream: undefined }, 'core', log);
    context.after(() => audit.close());
    for (const tag of ['a', 'b', 'c']) audit.write('push', { tag });

    await symlink(file, join(folder.path, 'new'));
    await rename(join(folder.path, 'new'), path);
    let more = 0;
    const lines = await waitFor('a line that is kept', async () => {
      more += 1;
      audit.write('push', { more });
      const text = await readFile(file, 'utf8').catch(() => '');
      return text === ''
        ? undefined
        : text
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line));
    });
    const [lost, kept] = lines;
    assert.equal(lost.event, 'lost');
    assert.equal(kept.event, 'push');
    // All before the first that was kept.
    assert.equal(lost.lines, 3 + kept.more - 1);
  });
});
