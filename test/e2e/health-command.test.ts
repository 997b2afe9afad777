import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { run } from '../support/run.ts';
import { launcher, servicePids } from '../support/stack.ts';

test('health tells of each process without which nobody is served', async () => {
  const stack = await startConfigured({ users: { admin: 'a password' } });
  const health = () => run(launcher, ['health', join(stack.dir, 'config.yml')]);
  try {
    const healthy = await health();
    assert.equal(healthy.stdout, 'gateway is ready\n', healthy.stderr);
    for (const service of ['core', 'auth']) {
      const [pid = 0] = await servicePids(stack.child.pid ?? 0, service);
      process.kill(pid, 'SIGSTOP');
      const { code, stderr } = await health();
      process.kill(pid, 'SIGCONT');
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`^portcullis: ${service} does not answer`));
    }
    // What runs counts, not what its file says by now.
    const config = join(stack.dir, 'config.yml');
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/addr: .*/, 'addr: 127.0.0.1:1'));
    assert.notEqual(await readFile(config, 'utf8'), text);
    const edited = await health();
    assert.equal(edited.stdout, 'gateway is ready\n', edited.stderr);
  } finally {
    await stack.remove();
  }
});
