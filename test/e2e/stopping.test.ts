import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { parseConfiguration } from '#libs/config/load-configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, type Stack, servicePids } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

/** Longer than any test: what waits for it does not end by itself. */
const delay = '1h';

const status = async (url: string) => (await fetch(url)).status;

async function startDelayed(): Promise<Stack> {
  return await startConfigured({ sections: () => ({ portcullis: { draindelay: delay } }) });
}

/** A registry in memory, of which nothing runs yet. */
async function configure(dir: string, sections: Record<string, unknown> = {}) {
  const port = await freePort();
  const config = join(dir, 'config.yml');
  const portcullis = { ...sections, sockets: join(dir, 'sockets') };
  const http = { addr: `127.0.0.1:${port}` };
  const storage = { inmemory: {} };
  await writeFile(config, stringify({ version: '0.1', storage, http, portcullis }));
  return { port, config };
}

describe('a registry that is told to stop', () => {
  test('goes on for the delay on SIGTERM, and says that it is not ready', async () => {
    const stack = await startDelayed();
    try {
      assert.equal(await status(`${stack.url}/readyz`), 200);
      stack.child.kill('SIGTERM');
      await waitFor('readyz to say it', async () => (await status(`${stack.url}/readyz`)) === 503);
      const upload = await fetch(`${stack.url}/v2/a/blobs/uploads/`, { method: 'POST' });
      assert.equal(upload.status, 202, 'requests are served meanwhile');
      assert.equal(upload.headers.get('connection'), 'close');
      // Whoever asks twice means now.
      stack.child.kill('SIGTERM');
      await waitFor('the end', () => stack.child.exitCode !== null);
      assert.equal(stack.child.exitCode, 1);
    } finally {
      stack.child.kill('SIGKILL');
      await stack.remove();
    }
  });

  test('stops at once on SIGINT, which is Ctrl-C', async () => {
    const stack = await startDelayed();
    try {
      assert.equal(await stack.stop('SIGINT'), 0);
    } finally {
      stack.child.kill('SIGKILL');
      await stack.remove();
    }
  });

  test('tells also those that become ready meanwhile', async () => {
    await using folder = await createTemporaryFolder();
    for (let round = 0; round < 12; round += 1) {
      const { config } = await configure(folder.path);
      const words = ['serve', config];
      const child = spawn(launcher, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      let isTold = false;
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        // The gateway begins now.
        if (isTold || !output.includes('core is ready')) return;
        isTold = true;
        setTimeout(() => child.kill('SIGTERM'), round * 3);
      });
      await once(child, 'exit');
      for (const name of ['core', 'gateway']) {
        if (!output.includes(`${name} is ready`)) continue;
        assert.match(output, new RegExp(`msg="?stopping"? process=${name}`), output);
      }
    }
  });

  test('stops in order also where a service manager signals every process', async () => {
    const stack = await startDelayed();
    try {
      const supervisor = stack.child.pid ?? 0;
      const pids = await Promise.all(
        ['core', 'gateway'].map((one) => servicePids(supervisor, one)),
      );
      for (const pid of [...pids.flat(), supervisor]) process.kill(pid, 'SIGTERM');
      await waitFor('readyz to say it', async () => (await status(`${stack.url}/readyz`)) === 503);
      assert.equal(await status(`${stack.url}/v2/`), 200);
      assert.equal(await status(`${stack.url}/v2/_catalog`), 200, 'the core is there as well');
      assert.doesNotMatch(stack.output(), /msg="?stopping"? .*process=core/);
    } finally {
      stack.child.kill('SIGKILL');
      await stack.remove();
    }
  });
});

describe('one process that runs alone and is told to stop', () => {
  const start = async (dir: string) => {
    const { port, config } = await configure(dir, { draindelay: delay });
    const child = spawn(launcher, ['gateway', config], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const url = `http://127.0.0.1:${port}/readyz`;
    await waitFor('it to be ready', async () => (await status(url).catch(() => 0)) === 200);
    return { child, ended, url };
  };

  for (const [first, ...more] of [
    ['SIGINT'],
    ['SIGTERM', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
  ] as const) {
    test(`ends with ${[first, ...more].join(' and then ')}`, async () => {
      await using folder = await createTemporaryFolder();
      const { child, ended, url } = await start(folder.path);
      try {
        child.kill(first);
        if (first === 'SIGTERM') {
          await waitFor('readyz to say it', async () => (await status(url)) === 503);
        }
        for (const signal of more) child.kill(signal);
        assert.deepEqual(await ended, [more.length === 0 ? 0 : 1, null]);
      } finally {
        child.kill('SIGKILL');
      }
    });
  }
});

test('what is usual fits into the ten seconds that docker gives', async () => {
  const loaded = await parseConfiguration(
    { path: 'config.yml', text: 'version: 0.1\nstorage: inmemory\n' },
    {},
  );
  const { drainDelay, http } = toSettings(loaded);
  // Our own gateways look once a second, and wait two for an answer.
  assert.ok(drainDelay > 3000);
  assert.ok(drainDelay + http.drainTimeout < 10_000);
});
