import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { freePort } from '../support/free-port.ts';
import { mustRun } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

interface Instance {
  child: ChildProcess;
  url: string;
  output(): string;
  write(): Promise<Response>;
  read(): Promise<Response>;
  ready(): Promise<{ status: string; conditions?: string[] }>;
  metrics(): Promise<string>;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

const inNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

describe('cores without Redis on one tree', () => {
  let folder: TemporaryFolder;
  let running: Instance[];

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    await mkdir(join(folder.path, 'registry'));
    running = [];
  });

  afterEach(async () => {
    for (const one of running) {
      one.child.kill('SIGCONT');
      await one.end('SIGKILL');
    }
    await folder.remove();
  });

  /** One core alone, on a port of its own. */
  async function launch(wrapper: readonly string[] = [], service = 'core'): Promise<Instance> {
    const [port, debug] = [await freePort(), await freePort()];
    const config = join(folder.path, `${port}.yml`);
    await writeFile(
      config,
      stringify({
        version: '0.1',
        storage: { filesystem: { rootdirectory: join(folder.path, 'registry') } },
        http: {
          addr: `127.0.0.1:${port}`,
          secret: 'a secret that all of them share',
          debug: { addr: `127.0.0.1:${debug}`, prometheus: { enabled: true } },
        },
        portcullis: {
          sockets: join(folder.path, `sockets-${port}`),
          ...(service === 'core' ? { core: { listen: `127.0.0.1:${port}` } } : {}),
        },
      }),
    );
    const [command = launcher, ...args] = [...wrapper, launcher, service, config];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const url = `http://127.0.0.1:${port}`;
    const at = (where: number, path: string) => fetch(`http://127.0.0.1:${where}${path}`);
    const instance: Instance = {
      child,
      url,
      output: () => output,
      write: () => fetch(`${url}/v2/team/app/blobs/uploads/`, { method: 'POST' }),
      read: () => fetch(`${url}/v2/_catalog`),
      ready: async () =>
        (await (await at(debug, '/readyz')).json()) as { status: string; conditions?: string[] },
      metrics: async () => await (await at(debug, '/metrics')).text(),
      async end(signal) {
        if (child.exitCode === null && child.signalCode === null) {
          child.kill(signal);
          await once(child, 'exit');
        }
        return child.exitCode;
      },
    };
    running.push(instance);
    return instance;
  }

  async function serving(instance: Instance): Promise<void> {
    await waitFor('reads to be served', async () => {
      if (instance.child.exitCode !== null) throw new Error(instance.output());
      return await instance.read().then(
        ({ status }) => status === 200,
        () => false,
      );
    });
  }

  const takesWrites = async (instance: Instance) => (await instance.write()).status === 202;

  test('the second serves reads at once, says why it takes no writes, and takes them when the first has stopped', async () => {
    const first = await launch();
    await serving(first);
    await waitFor('the first to take writes', () => takesWrites(first));
    assert.deepEqual(await first.ready(), { status: 'ok' });
    const second = await launch();
    await serving(second);
    const refused = await second.write();
    assert.equal(refused.status, 503);
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assert.match(await refused.text(), /UNAVAILABLE/);
    await waitFor('it to be ready', async () => (await second.ready()).status === 'ok');
    const { conditions = [] } = await second.ready();
    assert.match(conditions.join(), new RegExp(`writes are refused: the core on ${hostname()}`));
    assert.match(
      await second.metrics(),
      /^portcullis_writes_refused\{reason="not-owner",process="core"\} 1$/m,
    );
    assert.ok(await takesWrites(first), 'the first is not disturbed');
    assert.equal(await first.end('SIGTERM'), 0);
    await waitFor('the second to take writes', () => takesWrites(second), 5000);
    assert.deepEqual(await second.ready(), { status: 'ok' });
    assert.equal(second.output().match(/another core owns this storage/g)?.length, 1);
  });

  test('of two that start together one takes writes', async () => {
    for (let round = 0; round < 3; round += 1) {
      const both = await Promise.all([launch(), launch()]);
      await Promise.all(both.map(serving));
      await waitFor('one to take writes', async () =>
        (await Promise.all(both.map(takesWrites))).includes(true),
      );
      for (let look = 0; look < 5; look += 1) {
        const taking = await Promise.all(both.map(takesWrites));
        assert.equal(taking.filter(Boolean).length, 1);
      }
      for (const one of both) await one.end('SIGKILL');
    }
  });

  test('one that was killed is followed at once, from another container as well', async () => {
    for (const wrapper of [[], inNamespace]) {
      const first = await launch(wrapper);
      await serving(first);
      await waitFor('the first to take writes', () => takesWrites(first));
      await first.end('SIGKILL');
      await waitFor('the first to be gone', () =>
        first.read().then(
          () => false,
          () => true,
        ),
      );
      const next = await launch(wrapper);
      await serving(next);
      const started = performance.now();
      await waitFor('the next to take writes', () => takesWrites(next));
      // A counter alone would have to stand still for 15 s.
      assert.ok(performance.now() - started < 10_000);
      // What makes the namespace passes no signal on but this one.
      await next.end(wrapper.length === 0 ? 'SIGTERM' : 'SIGKILL');
    }
    const last = await launch();
    await serving(last);
    await waitFor('the last to take writes', () => takesWrites(last));
    await last.end('SIGTERM');
    const claims = join(folder.path, 'registry/docker/registry/v2/_portcullis/owners');
    assert.match((await readdir(claims)).join(), /^\d+\.released$/, 'nothing is left behind');
  });

  test('one that is held up is not taken for dead on its own machine, and goes on', async () => {
    const first = await launch();
    await serving(first);
    await waitFor('the first to take writes', () => takesWrites(first));
    first.child.kill('SIGSTOP');
    const second = await launch();
    await serving(second);
    await sleep(17_000);
    assert.equal((await second.write()).status, 503);
    first.child.kill('SIGCONT');
    await waitFor('the first to go on', () => takesWrites(first));
    assert.equal((await second.write()).status, 503);
  });

  test('one that waited in vain ends, and names the other and the way out', async () => {
    const first = await launch();
    await serving(first);
    await waitFor('the first to take writes', () => takesWrites(first));
    const alone = await launch();
    const whole = await launch([], 'serve');
    await Promise.all([alone, whole].map(serving));
    for (const one of [alone, whole]) {
      await waitFor('the end', () => one.child.exitCode !== null, 120_000);
      assert.equal(one.child.exitCode, 1);
      assert.match(
        one.output(),
        new RegExp(`the core on ${hostname()} is using this storage; .*redis:`),
      );
    }
    assert.ok(await takesWrites(first));
    const left = await mustRun('sh', ['-c', `pgrep -f '${folder.path}' | wc -l`]);
    assert.equal(Number(left), 2, 'the first, and the shell that counts');
  });
});
