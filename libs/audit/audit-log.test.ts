import assert from 'node:assert/strict';
import { readFile, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createRecordingLog } from '../../test/support/recording-log.ts';
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
    // Full, it has room again.
    of('/dev/full')();
    assertAuditLog(undefined);
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
