import { copyFile, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DockerEngine } from './docker-engine.ts';
import { mustRun, run } from './run.ts';

/**
 * Gives an engine what our Dockerfile and compose file would pull, made of Debian's packages and this
 * project's Node: `node:26-slim` and `redis:7`.
 * @param dir an empty folder for some hundred megabytes
 */
export async function makeBaseImages(engine: DockerEngine, dir: string): Promise<void> {
  const root = join(dir, 'root');
  const options = ['--variant=minbase', '--include=ca-certificates,redis-server'];
  await mustRun('debootstrap', [...options, 'bookworm', root], { timeout: 300_000 });
  await importImage(engine, root, 'redis:7', ['CMD ["redis-server", "--protected-mode", "no"]']);
  await installNode(root);
  await importImage(engine, root, 'node:26-slim', [
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'CMD ["node"]',
  ]);
}

/** The Node that runs this, and the npm of this machine with what it was told of registries. */
async function installNode(root: string): Promise<void> {
  const local = join(root, 'usr/local');
  await copyFile(process.execPath, join(local, 'bin/node'));
  const npm = dirname(dirname(await realpath((await mustRun('which', ['npm'])).trim())));
  await mkdir(join(local, 'lib/node_modules'), { recursive: true });
  await cp(npm, join(local, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
  const files = ['globalconfig', 'userconfig'].map(async (name) => {
    const path = (await mustRun('npm', ['config', 'get', name])).trim();
    return (await run('cat', [path])).stdout;
  });
  await mkdir(join(local, 'etc'), { recursive: true });
  await writeFile(join(local, 'etc/npmrc'), (await Promise.all(files)).join('\n'));
  // Whom this machine trusts, the build may trust.
  const authorities = 'etc/ssl/certs/ca-certificates.crt';
  await copyFile(join('/', authorities), join(root, authorities));
}

async function importImage(
  engine: DockerEngine,
  root: string,
  name: string,
  changes: readonly string[],
): Promise<void> {
  const given = changes.flatMap((change) => ['--change', change]);
  const script = 'root=$1; shift; tar -C "$root" -c . | docker import "$@"';
  await mustRun('sh', ['-c', script, 'sh', root, ...given, '-', name], {
    env: engine.env,
    timeout: 300_000,
  });
}
