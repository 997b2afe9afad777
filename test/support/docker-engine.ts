import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun, type RunOptions, type RunResult, run } from './run.ts';
import { spawn } from './spawn.ts';
import { waitFor } from './wait-for.ts';

/** Debian's client matches Debian's engine; another may stand before it on PATH. */
const client = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker';

/** A real docker engine of our own, with its own data root, socket and client configuration. */
export interface DockerEngine {
  /** Where the client keeps its logins. */
  configFolder: string;
  /** What clients of this engine find in their environment. */
  env: Record<string, string>;
  docker(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** As `docker`, but must succeed. @returns standard output */
  mustDocker(args: readonly string[], options?: RunOptions): Promise<string>;
  /** Has the engine trust a CA for one registry, `host:port`. */
  trust(registry: string, ca: string): Promise<void>;
  /** An image of so many layers with random content. @returns its name */
  buildImage(name: string, layers: readonly number[]): Promise<string>;
  stop(): Promise<void>;
}

export interface DockerEngineOptions {
  /** Containers get networks of their own, for which the engine sets packet filters. */
  networks?: boolean;
}

/** Starts an engine; without networks, for pushing and pulling needs none. */
export async function startDockerEngine({
  networks = false,
}: DockerEngineOptions = {}): Promise<DockerEngine> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-docker-'));
  const socket = `unix://${dir}/docker.sock`;
  const engine = spawn(
    'dockerd',
    [
      ...['--data-root', `${dir}/data`, '--exec-root', `${dir}/exec`],
      ...['--pidfile', `${dir}/docker.pid`, '--host', socket],
      ...(networks ? [] : ['--bridge=none', '--iptables=false', '--ip6tables=false']),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  engine.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const configFolder = join(dir, 'client');
  await mkdir(configFolder);
  const env = { DOCKER_HOST: socket, DOCKER_CONFIG: configFolder, DOCKER_BUILDKIT: '0' };
  const trusted: string[] = [];

  const docker = (args: readonly string[], options: RunOptions = {}) =>
    run(client, args, { ...options, env: { ...env, ...options.env } });
  const mustDocker = (args: readonly string[], options: RunOptions = {}) =>
    mustRun(client, args, { ...options, env: { ...env, ...options.env } });

  /** They would outlive the engine. */
  const removeContainers = async () => {
    const { stdout } = await docker(['ps', '--all', '--quiet']);
    const ids = stdout.split('\n').filter(Boolean);
    if (ids.length > 0) await docker(['rm', '--force', '--volumes', ...ids]);
  };

  const stop = async () => {
    await removeContainers();
    if (engine.exitCode === null) {
      engine.kill('SIGTERM');
      await waitFor('the docker engine to stop', () => engine.exitCode !== null, 60_000);
    }
    for (const folder of trusted) await rm(folder, { recursive: true, force: true });
    await unmountBelow(dir);
    await rm(dir, { recursive: true, force: true });
  };

  try {
    await waitFor('the docker engine', async () => {
      if (engine.exitCode !== null) throw new Error(`dockerd ended:\n${log}`);
      return (await docker(['version'])).code === 0;
    });
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    configFolder,
    env,
    docker,
    mustDocker,
    stop,

    async trust(registry, ca) {
      const folder = `/etc/docker/certs.d/${registry}`;
      trusted.push(folder);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'ca.crt'), await readFile(ca));
    },

    async buildImage(name, layers) {
      const context = await mkdtemp(join(dir, 'context-'));
      const steps = layers.map((_, index) => `COPY layer${index} /layer${index}`);
      await writeFile(join(context, 'Dockerfile'), ['FROM scratch', ...steps].join('\n'));
      for (const [index, size] of layers.entries()) {
        await mustRun('sh', [
          '-c',
          `head -c ${size} /dev/urandom > "$1"`,
          'sh',
          `${context}/layer${index}`,
        ]);
      }
      await mustDocker(['build', '--quiet', '--tag', name, context]);
      await rm(context, { recursive: true });
      return name;
    },
  };
}

/** An engine with networks leaves mounts behind. */
async function unmountBelow(dir: string): Promise<void> {
  const table = await readFile('/proc/mounts', 'utf8');
  const points = table.split('\n').map((line) => line.split(' ')[1] ?? '');
  for (const point of points.filter((path) => path.startsWith(`${dir}/`)).reverse()) {
    await run('umount', ['--lazy', point]);
  }
}
