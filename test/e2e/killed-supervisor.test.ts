import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';
import { spawn } from '../support/spawn.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

describe('a supervisor that is killed while it starts', () => {
  let folder: TemporaryFolder;
  let config: string;

  before(async () => {
    folder = await createTemporaryFolder();
    config = join(folder.path, 'config.yml');
    const port = await freePort();
    await writeFile(
      config,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: ${folder.path}/tree } }\n` +
        `http: { addr: "127.0.0.1:${port}" }\nlog: { level: error }\n`,
    );
  });

  after(async () => {
    for (const pid of await processes()) process.kill(pid, 'SIGKILL');
    await folder.remove();
  });

  /** All that serve this configuration. */
  async function processes(): Promise<number[]> {
    const found: number[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
      const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
      if (command.includes(config)) found.push(Number(name));
    }
    return found;
  }

  test('leaves no process behind, whenever that is', async () => {
    for (let delay = 200; delay <= 1600; delay += 100) {
      const supervisor = spawn(launcher, ['serve', config], { stdio: 'ignore' });
      const exited = once(supervisor, 'exit');
      await sleep(delay);
      supervisor.kill('SIGKILL');
      await exited;
      await waitFor(
        `all to end that were started within ${delay} ms`,
        async () => (await processes()).length === 0,
      );
    }
    assert.deepEqual(await processes(), []);
  });
});
