import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './free-port.ts';
import { run } from './run.ts';
import { spawn } from './spawn.ts';
import { waitFor } from './wait-for.ts';

/** Debian's docker-registry, the original that we stand in for, over a tree of ours. */
export interface OriginalRegistry {
  /** `host:port`, plain HTTP, open. */
  registry: string;
  stop(): Promise<void>;
}

/** @param sections laid over an open registry's */
export async function startOriginalRegistry(
  dir: string,
  root: string,
  sections: Record<string, unknown> = {},
): Promise<OriginalRegistry> {
  const port = await freePort();
  const config = join(dir, 'original.yml');
  await writeFile(
    config,
    stringify({
      version: '0.1',
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}` },
      ...sections,
    }),
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const registry = `127.0.0.1:${port}`;
  await waitFor('the original registry', async () => {
    const { code } = await run('curl', ['-s', '-o', '/dev/null', `http://${registry}/v2/`]);
    return code === 0;
  });
  return {
    registry,
    async stop() {
      child.kill('SIGTERM');
      await waitFor(
        'the original registry to stop',
        () => child.exitCode !== null || child.signalCode !== null,
      );
    },
  };
}
