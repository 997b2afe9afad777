import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { mustRun, run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, type Stack, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Names of the processes that wrote an access line. */
const served = (output: string) =>
  new Set([...output.matchAll(/msg="request" process=(gateway\S*)/g)].map(([, name]) => name));

describe('several gateways and cores under one supervisor', () => {
  let stack: Stack;
  let config: string;
  const supervisor = () => stack.child.pid ?? 0;

  before(async () => {
    // Read-only cores need nothing of each other.
    stack = await startConfigured({
      tls: true,
      users: { admin: 'secret' },
      sections: (dir) => ({
        log: { level: 'debug' },
        redis: { addr: '127.0.0.1:1' },
        storage: {
          filesystem: { rootdirectory: join(dir, 'registry') },
          maintenance: { readonly: { enabled: true } },
        },
        portcullis: {
          sockets: join(dir, 'sockets'),
          gateway: { workers: 2 },
          core: { workers: 2 },
        },
      }),
    });
    config = join(stack.dir, 'config.yml');
  });

  after(async () => {
    await stack?.remove();
  });

  /** One request on a connection of its own. */
  const ask = async () => {
    const login = ['--user', 'admin:secret', '--cacert', stack.ca];
    return (await run('curl', ['-sf', ...login, `${stack.url}/v2/`])).code;
  };

  test('requests reach both gateways, and each core has a socket of its own', async () => {
    await waitFor('lines of both', async () => {
      assert.equal(await ask(), 0);
      const names = served(stack.output());
      return names.has('gateway') && names.has('gateway-2');
    });
    for (const name of ['core', 'core-2']) {
      const socket = join(stack.dir, 'sockets', `${name}.sock`);
      const answer = await mustRun('curl', ['-s', '--unix-socket', socket, 'http://x/healthz']);
      assert.equal(answer, '{"status":"ok"}');
      assert.match(stack.output(), new RegExp(`msg="${name} is ready" process=${name} `));
    }
  });

  for (const service of ['gateway', 'core'] as const) {
    test(`a ${service} that dies comes back by itself, and the others go on`, async () => {
      const [first = 0, second = 0] = await servicePids(supervisor(), service);
      const others = await servicePids(supervisor(), service === 'core' ? 'gateway' : 'core');
      const command = (await readFile(`/proc/${second}/cmdline`, 'utf8')).replaceAll('\0', ' ');
      assert.match(command, / --worker 2 /);
      process.kill(second, 'SIGKILL');
      await waitFor('its end', () => stack.output().includes(`service=${service}-2`));
      const back = () =>
        new RegExp(`the process was restarted.*service=${service}-2`).test(stack.output());
      await waitFor('it to be back', async () => {
        assert.equal(await ask(), 0);
        return back();
      });
      const [kept, again] = await servicePids(supervisor(), service);
      assert.equal(kept, first);
      assert.notEqual(again, second);
      const now = await servicePids(supervisor(), service === 'core' ? 'gateway' : 'core');
      assert.deepEqual(now, others);
    });
  }

  test('files are reloaded by all of them', async () => {
    const reloads = () =>
      new Set(
        [...stack.output().matchAll(/msg="file reloaded" process=(gateway\S*)/g)].map(
          ([, name]) => name,
        ),
      );
    stack.child.kill('SIGHUP');
    await waitFor('both', () => reloads().has('gateway') && reloads().has('gateway-2'));
  });

  test('another registry on the same port is one clear sentence, though it could share it', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
    try {
      const other = join(dir, 'other.yml');
      const text = await readFile(config, 'utf8');
      await writeFile(other, text.replace(/^ *sockets: .*$/m, `  sockets: ${dir}/sockets`));
      const { code, stderr } = await run(launcher, [other]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^portcullis: 127\.0\.0\.1:\d+ is already in use by another process.*\n$/,
      );
      assert.equal(await ask(), 0);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('a stop ends gateways, then cores, then auth, and leaves nothing', async () => {
    const pids = await Promise.all(
      ['gateway', 'auth', 'core'].map((name) => servicePids(supervisor(), name)),
    );
    assert.deepEqual(
      pids.map(({ length }) => length),
      [2, 1, 2],
    );
    assert.equal(await stack.stop(), 0);
    assert.deepEqual(pids.flat().filter(isAlive), []);
    const order = [...stack.output().matchAll(/msg="stopping" process=([a-z]+)/g)].map(
      ([, service]) => service,
    );
    assert.deepEqual(order, ['gateway', 'gateway', 'core', 'core', 'auth']);
    await assert.rejects(access(join(stack.dir, 'sockets')));
  });
});

describe('one service alone', () => {
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  });

  after(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  const configure = async (port: number, sections: Record<string, unknown> = {}) => {
    const path = join(dir, `${port}.yml`);
    const tree = {
      version: '0.1',
      storage: { filesystem: { rootdirectory: join(dir, 'registry') } },
      http: { addr: `127.0.0.1:${port}` },
      ...sections,
    };
    await writeFile(path, stringify(tree));
    return path;
  };

  test('of several gateways is run by a supervisor, and ends with it', async () => {
    const port = await freePort();
    const config = await configure(port, { portcullis: { gateway: { workers: 2 } } });
    const child = spawn(launcher, ['gateway', config], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    try {
      await waitFor('both', () => output.includes('gateway-2 is ready'));
      await waitFor('both to have served', async () => {
        await mustRun('curl', ['-sf', `http://127.0.0.1:${port}/`]);
        return served(output).size === 2;
      });
      const pids = await servicePids(child.pid ?? 0, 'gateway');
      assert.equal(pids.length, 2);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
      assert.deepEqual(pids.filter(isAlive), []);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('of one process is the process that was started', async () => {
    const port = await freePort();
    const child = spawn(launcher, ['gateway', await configure(port)], { stdio: 'ignore' });
    try {
      await waitFor('an answer', async () => {
        return (await run('curl', ['-sf', `http://127.0.0.1:${port}/`])).code === 0;
      });
      const command = await readFile(`/proc/${child.pid}/cmdline`, 'utf8');
      assert.match(command, /services\/gateway\/main\.ts/);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  for (const command of [['serve'], ['core'], []]) {
    test(`several cores without Redis are one clear sentence (${command.join('') || 'no command'})`, async () => {
      const config = await configure(await freePort(), { portcullis: { core: { workers: 2 } } });
      const { code, stderr } = await run(launcher, [...command, config]);
      assert.equal(code, 1);
      assert.match(stderr, /^portcullis: \S+\.yml: portcullis\.core\.workers: .*Redis.*\n$/);
    });
  }
});
