import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

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
    sections: (dir) => ({
      http: { net: 'unix', addr: join(dir, 'gateway.sock') },
      portcullis: { sockets: join(dir, 'sockets') },
    }),
  });
  try {
    const { stdout, stderr } = await run(launcher, ['health', join(stack.dir, 'config.yml')]);
    assert.equal(stdout, 'gateway is ready\n', stderr);
    const sockets = join(stack.dir, 'sockets');
    assert.equal((await readdir(sockets)).filter((name) => name.endsWith('.json')).length, 1);
    await stack.stop();
    assert.equal((await run(launcher, ['health', join(stack.dir, 'config.yml')])).code, 1);
    assert.deepEqual(await readdir(sockets).catch(() => []), []);
  } finally {
    await stack.remove();
  }
});

test('health asks the very gateway that is named, whatever others have their sockets in its folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  const sections = () => ({ portcullis: { sockets: join(dir, 'sockets') } });
  const whole = await startConfigured({ sections });
  const port = await freePort();
  const config = join(dir, 'gateway.yml');
  const text = await readFile(join(whole.dir, 'config.yml'), 'utf8');
  await writeFile(config, text.replace(/addr: .*/, `addr: 127.0.0.1:${port}`));
  const gateway = spawn(launcher, ['gateway', config], { stdio: 'ignore' });
  try {
    await waitFor('the gateway', async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined);
      return answer?.status === 200;
    });
    const health = () => run(launcher, ['health', config]);
    const { code, stderr } = await health();
    assert.equal(code, 0, stderr);
    gateway.kill('SIGSTOP');
    const frozen = await health();
    gateway.kill('SIGCONT');
    assert.equal(frozen.code, 1, frozen.stdout);
  } finally {
    const ended = once(gateway, 'exit');
    gateway.kill('SIGTERM');
    await ended;
    await whole.remove();
    await rm(dir, { recursive: true, force: true });
  }
});

test('health of root believes a note no more than whoever can change it', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  const stack = await startConfigured({
    sections: (dir) => ({ portcullis: { sockets: join(dir, 'sockets') } }),
  });
  let asked = 0;
  const server = createServer((_, answer) => {
    asked += 1;
    answer.end();
  });
  try {
    const sockets = join(stack.dir, 'sockets');
    const health = () =>
      run(launcher, ['health', join(stack.dir, 'config.yml')], { timeout: 20_000 });
    const [name = ''] = (await readdir(sockets)).filter((one) => one.endsWith('.json'));
    const note = join(sockets, name);
    const secret = join(stack.dir, 'secret');
    await mkdir(secret, { mode: 0o700 });
    server.listen(join(secret, 'a.sock'));
    await once(server, 'listening');
    await chmod(stack.dir, 0o755);
    await chown(sockets, 65_534, 65_534);
    const listen = { socket: join(secret, 'a.sock') };
    await writeFile(note, JSON.stringify([{ service: 'gateway', listen, tls: false }]));
    await chown(note, 65_534, 65_534);
    const { code, stderr } = await health();
    assert.equal(code, 1);
    assert.match(stderr, /EACCES/);
    assert.equal(asked, 0);
    // What is no note is passed over: the configuration says where all listen.
    for (const make of [
      () => writeFile(note, '{"a":1}'),
      () => run('mkfifo', [note]),
      () => symlink('/etc/passwd', note),
    ]) {
      await rm(note);
      await make();
      await lchown(note, 65_534, 65_534);
      assert.equal((await health()).stdout, 'gateway is ready\n');
    }
  } finally {
    server.close();
    await stack.remove();
  }
});
