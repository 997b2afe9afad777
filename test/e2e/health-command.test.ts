import assert from 'node:assert/strict';
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
  } finally {
    await stack.remove();
  }
});
