import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { redisSettings } from '#libs/config/sections/redis.ts';
import type { RedisSettings } from '#libs/redis/redis-settings.ts';
import { freePort } from './free-port.ts';
import { mustRun, run } from './run.ts';
import { spawn } from './spawn.ts';
import { waitFor } from './wait-for.ts';

/** A Redis server of the test's own, on 127.0.0.1. */
export interface RedisServer {
  port: number;
  child: ChildProcess;
  cli(...args: string[]): Promise<string>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again on the same port, without its data unless it was told to keep it. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  remove(): Promise<void>;
}

export interface RedisServerOptions {
  /** Lines of redis.conf; `tls-port PORT` makes it speak TLS only. */
  lines?: readonly string[];
  sentinel?: boolean;
  port?: number;
  /** How the client is told who it is, such as `--user x --pass y`. */
  login?: readonly string[];
}

/** Starts a real redis-server and waits until it answers. */
export async function startRedisServer({
  lines = [],
  sentinel = false,
  port: wanted,
  login = [],
}: RedisServerOptions = {}): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-redis-'));
  const port = wanted ?? (await freePort());
  const path = join(dir, 'redis.conf');
  const tls = lines.includes('tls-port PORT');
  const own = [`port ${tls ? 0 : port}`, 'bind 127.0.0.1', 'daemonize no', `dir ${dir}`];
  const text = [...own, ...(sentinel ? [] : ['save ""']), ...lines, ''].join('\n');
  await writeFile(path, text.replace('tls-port PORT', `tls-port ${port}`));
  const cli = (...args: string[]) => mustRun('redis-cli', ['-p', `${port}`, ...login, ...args]);

  async function start(): Promise<ChildProcess> {
    const child = spawn('redis-server', [path, ...(sentinel ? ['--sentinel'] : [])], {
      stdio: 'ignore',
    });
    await waitFor('redis-server to answer', async () => {
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
      const { stdout } = await run('redis-cli', ['-p', `${port}`, ...login, 'ping']);
      return /PONG|NOAUTH/.test(stdout);
    });
    return child;
  }

  async function kill(): Promise<void> {
    const { child } = server;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  const first = await start().catch(async (error: unknown) => {
    await rm(dir, { recursive: true, force: true });
    throw error;
  });
  const server: RedisServer = {
    port,
    child: first,
    cli,
    kill,
    async restart() {
      await kill();
      server.child = await start();
    },
    async remove() {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return server;
}

/** Redis in one of its shapes. */
export interface RedisDeployment {
  settings: RedisSettings;
  servers: RedisServer[];
  remove(): Promise<void>;
}

function deployment(
  servers: RedisServer[],
  section: Parameters<typeof redisSettings>[0],
): RedisDeployment {
  const settings = redisSettings(section);
  if (settings === undefined) throw new Error('a section makes settings');
  return {
    settings,
    servers,
    async remove() {
      await Promise.all(servers.map((server) => server.remove()));
    },
  };
}

const timeouts = { db: 0, dialtimeout: 2000, readtimeout: 2000 } as const;

/** One server. */
export async function startSingle(): Promise<RedisDeployment> {
  const server = await startRedisServer();
  return deployment([server], { ...timeouts, addr: `127.0.0.1:${server.port}` });
}

/** Three masters that share the slots. */
export async function startCluster(): Promise<RedisDeployment> {
  const servers = await Promise.all([0, 1, 2].map(startClusterNode));
  const addrs = servers.map(({ port }) => `127.0.0.1:${port}`);
  await mustRun('redis-cli', ['--cluster', 'create', ...addrs, '--cluster-yes']);
  await waitFor('the Cluster to be whole', async () => {
    const states = await Promise.all(servers.map((server) => server.cli('cluster', 'info')));
    return states.every((state) => state.includes('cluster_state:ok'));
  });
  return deployment(servers, { ...timeouts, addrs });
}

/** Its bus listens ten thousand above. */
async function startClusterNode(): Promise<RedisServer> {
  return await startRedisServer({
    port: await freePort({ companion: 10_000 }),
    lines: ['cluster-enabled yes', 'cluster-node-timeout 1000'],
  });
}

export interface SentinelDeployment extends RedisDeployment {
  master: RedisServer;
  replica: RedisServer;
}

/** A master with a replica, watched by three Sentinels. */
export async function startSentinels(): Promise<SentinelDeployment> {
  const master = await startRedisServer();
  const replica = await startRedisServer({ lines: [`replicaof 127.0.0.1 ${master.port}`] });
  await waitFor('the replica to be in step', async () =>
    (await replica.cli('info', 'replication')).includes('master_link_status:up'),
  );
  const sentinels = await Promise.all(
    [1, 2, 3].map(() =>
      startRedisServer({
        sentinel: true,
        lines: [
          `sentinel monitor portcullis 127.0.0.1 ${master.port} 2`,
          'sentinel down-after-milliseconds portcullis 500',
          'sentinel failover-timeout portcullis 2000',
        ],
      }),
    ),
  );
  await waitFor('the Sentinels to know each other', async () => {
    const told = await Promise.all(
      sentinels.map((sentinel) => sentinel.cli('sentinel', 'master', 'portcullis')),
    );
    return told.every(
      (text) => /num-other-sentinels\n2\n/.test(text) && /num-slaves\n1\n/.test(text),
    );
  });
  const addrs = sentinels.map(({ port }) => `127.0.0.1:${port}`);
  const made = deployment([master, replica, ...sentinels], {
    ...timeouts,
    addrs,
    mastername: 'portcullis',
  });
  return { ...made, master, replica };
}
