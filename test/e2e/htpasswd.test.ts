import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mustRun, run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

describe('htpasswd, beside Apache’s', () => {
  let folder: TemporaryFolder;
  const at = (name: string) => join(folder.path, name);
  const ours = (args: string[], input?: string) =>
    run(launcher, ['htpasswd', ...args], input === undefined ? {} : { input });
  const apaches = (args: string[]) => run('htpasswd', args);

  before(async () => {
    folder = await createTemporaryFolder();
  });

  after(async () => {
    await folder?.remove();
  });

  test('-Bbn prints a line that Apache’s takes, and an empty one', async () => {
    const [mine, theirs] = await Promise.all([
      ours(['-Bbn', 'testuser', 'testpassword']),
      apaches(['-Bbn', 'testuser', 'testpassword']),
    ]);
    const shape = /^testuser:\$2y\$05\$[./A-Za-z0-9]{53}\n\n$/;
    assert.match(theirs.stdout, shape);
    assert.match(mine.stdout, shape);
    assert.deepEqual([mine.code, mine.stderr], [0, '']);
    await writeFile(at('printed'), mine.stdout);
    assert.equal((await apaches(['-vb', at('printed'), 'testuser', 'testpassword'])).code, 0);
  });

  test('-D takes out a user whose hash is not bcrypt', async () => {
    for (const [file, program] of [
      ['our-old', ours],
      ['their-old', apaches],
    ] as const) {
      await writeFile(at(file), 'old:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n');
      const { code, stderr } = await program(['-D', at(file), 'old']);
      assert.deepEqual([code, stderr], [0, 'Deleting password for user old\n']);
      assert.doesNotMatch(await readFile(at(file), 'utf8'), /^old:/m);
    }
    await writeFile(at('refused'), `bob:$2y$18$${'a'.repeat(53)}\n`);
    const { code, stderr } = await ours(['-vb', at('refused'), 'bob', 'x']);
    assert.equal(code, 3);
    assert.match(stderr, /^password verification failed: no registry takes the hash of bob/);
  });

  test('a file is made, changed and read like Apache’s, with the same words and exit codes', async () => {
    const steps: string[][] = [
      ['-Bbc', 'FILE', 'alice', 'one'],
      ['-Bb', 'FILE', 'bob', 'two'],
      ['-BbC', '6', 'FILE', 'alice', 'three'],
      ['-vb', 'FILE', 'alice', 'three'],
      ['-vb', 'FILE', 'alice', 'one'],
      ['-vb', 'FILE', 'nobody', 'one'],
      ['-D', 'FILE', 'nobody'],
      ['-D', 'FILE', 'bob'],
    ];
    for (const step of steps) {
      const args = (file: string) => step.map((word) => (word === 'FILE' ? at(file) : word));
      const [mine, theirs] = await Promise.all([ours(args('mine')), apaches(args('theirs'))]);
      const told = `${step.join(' ')}: ${mine.stderr}`;
      assert.deepEqual(
        [mine.code, mine.stdout, mine.stderr],
        [theirs.code, theirs.stdout, theirs.stderr],
        told,
      );
    }
    const shape = async (file: string) =>
      (await readFile(at(file), 'utf8')).replace(/\$[./A-Za-z0-9]{53}$/gm, '$…');
    assert.equal(await shape('mine'), await shape('theirs'));
  });

  test('-i reads the password from standard input', async () => {
    const { stdout, code } = await ours(['-niB', 'alice'], 'secret\n');
    assert.equal(code, 0);
    await writeFile(at('piped'), stdout);
    await mustRun('htpasswd', ['-vb', at('piped'), 'alice', 'secret']);
  });

  test('what a registry could not read is one clear sentence', async () => {
    const refused: [args: string[], why: RegExp][] = [
      [['-bn', 'alice', 'secret'], /only bcrypt is supported: add -B/],
      [['-Bb', at('absent'), 'alice', 'secret'], /absent.*use '-c' to create it/],
      [['-BbnC', '99', 'alice', 'secret'], /from 4 to 17/],
      [['-Bbn', 'a:b', 'secret'], /cannot be a user name/],
      [['-Bbn', 'alice', 'x'.repeat(73)], /longer than the 72 bytes/],
      [['-Bbn', 'alice'], /with -b FILE NAME PASSWORD/],
      [['-Bdn', 'alice'], /unknown option/],
    ];
    for (const [args, why] of refused) {
      const { code, stdout, stderr } = await ours(args);
      assert.notEqual(code, 0);
      assert.equal(stdout, '');
      assert.match(stderr, why);
    }
  });
});
