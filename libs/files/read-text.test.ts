import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { mustRun } from '../../test/support/run.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { readIfPresent, readText } from './read-text.ts';

test('what is no file is not waited for, nor is what has no end read', async () => {
  await using folder = await createTemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  await mustRun('mkfifo', [at('pipe')]);
  await writeFile(at('large'), '');
  await truncate(at('large'), 64 * 1024 * 1024 + 1);
  await writeFile(at('file'), 'text');
  for (const [path, expected] of [
    [at('pipe'), /^a\.b: .*pipe: it is not a file$/],
    ['/dev/zero', /^a\.b: \/dev\/zero: it is not a file$/],
    [at('large'), /large: it is larger than 64 MiB$/],
    [folder.path, /: it is a folder; name the file in it$/],
    [at('none'), /none: there is no such file$/],
  ] as const) {
    await assert.rejects(readText(path, 'a.b'), { message: expected });
    if (path !== at('none'))
      await assert.rejects(readIfPresent(path), /: it is (?:not a file|larger than|a folder)/);
  }
  assert.equal(await readText(at('file')), 'text');
  assert.equal(await readIfPresent(at('none')), undefined);
});
