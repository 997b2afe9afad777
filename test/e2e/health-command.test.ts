import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
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
    for (const edited of [text.replace(/addr: .*/, 'addr: 127.0.0.1:1'), 'a: [', undefined]) {
      if (edited === undefined) await rm(config);
      else await writeFile(config, edited);
      assert.notEqual(edited, text);
      const { stdout, stderr } = await health();
      assert.equal(stdout, 'gateway is ready\n', stderr);
      const alive = await run(launcher, ['health', '--alive', config]);
      assert.equal(alive.stdout, 'gateway answers\n', alive.stderr);
    }
  } finally {
    await stack.remove();
  }
});

test('health asks a gateway that listens at a socket', async () => {
  const stack = await startConfigured({
    sections: (dir) => ({ http: { net: 'unix', addr: join(dir, 'gateway.sock') } }),
  });
  try {
    const { stdout, stderr } = await run(launcher, ['health', join(stack.dir, 'config.yml')]);
    assert.equal(stdout, 'gateway is ready\n', stderr);
    await stack.stop();
    assert.equal((await run(launcher, ['health', join(stack.dir, 'config.yml')])).code, 1);
  } finally {
    await stack.remove();
  }
});
