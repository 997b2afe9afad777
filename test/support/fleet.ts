import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './free-port.ts';
import { type RedisServer, startRedisServer } from './redis.ts';
import { type Relay, startRelay } from './relay.ts';
import { mustRun } from './run.ts';
import { spawn } from './spawn.ts';
import { launcher } from './stack.ts';
import { waitFor } from './wait-for.ts';

type Kind = 'gateway' | 'auth' | 'core';

/** One process of a fleet. */
export interface Member {
  kind: Kind;
  /** Where it serves. */
  port: number;
  child: ChildProcess;
  /** What it wrote so far, over all its lives. */
  output(): string;
  /**
   * @param env laid over what it is always started with
   * @param program another version's launcher, from now on
   */
  start(env?: Record<string, string>, program?: string): Promise<void>;
  /** Tells it to stop, and waits. @returns its exit code */
  stop(): Promise<number | null>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** Holds it up, and lets it go on. */
  pause(): void;
  resume(): void;
}

/** Several of each, as on several machines: internal over TCP, Redis between the cores. */
export interface Fleet {
  dir: string;
  root: string;
  redis: RedisServer;
  /** Between the cores and Redis. */
  redisRelay: Relay;
  /** Between the gateways and each core. */
  coreRelays: Relay[];
  /** Between everybody and each token service. */
  authRelays: Relay[];
  gateways: Member[];
  auths: Member[];
  cores: Member[];
  /** In front of the gateways, as a balancer is: passes connections on in turn. */
  balancer: Relay;
  /** Of the balancer. */
  url: string;
  host: string;
  ca: string;
  user: string;
  password: string;
  remove(): Promise<void>;
}

export interface FleetOptions {
  gateways?: number;
  auths?: number;
  cores?: number;
  /** Name of the balancer in the certificate and for clients. */
  host?: string;
  /** Laid over `portcullis`. */
  portcullis?: Record<string, unknown>;
  /** The launcher of all members at first; this version's without it. */
  program?: string;
}

export async function startFleet({
  gateways = 2,
  auths = 2,
  cores = 3,
  host = 'localhost',
  portcullis = {},
  program = launcher,
}: FleetOptions = {}): Promise<Fleet> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-fleet-'));
  const cleanups: (() => Promise<unknown>)[] = [];
  const remove = async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const redis = await startRedisServer();
    cleanups.push(() => redis.remove());
    const redisRelay = await startRelay([redis.port]);
    cleanups.push(() => redisRelay.close());
    const ports = async (count: number) =>
      await Promise.all(Array.from({ length: count }, () => freePort()));
    const [gatewayPorts, authPorts, corePorts] = await Promise.all([
      ports(gateways),
      ports(auths),
      ports(cores),
    ]);
    const coreRelays = await Promise.all(corePorts.map((port) => startRelay([port])));
    const authRelays = await Promise.all(authPorts.map((port) => startRelay([port])));
    for (const relay of [...coreRelays, ...authRelays]) cleanups.push(() => relay.close());
    const certificates = join(dir, 'certs');
    const htpasswd = join(dir, 'htpasswd');
    const state = join(dir, 'state');
    const root = join(dir, 'registry');
    const [user, password] = ['builder', 'a long enough password'];
    await mkdir(root);
    await mustRun(launcher, ['certs', certificates, host]);
    await mustRun(launcher, ['user', 'add', '--file', htpasswd, user], { input: password });
    await mustRun(launcher, ['keys', 'create', '--state', state]);
    const at = (port: number) => `http://127.0.0.1:${port}`;
    const config = join(dir, 'config.yml');
    await writeFile(
      config,
      stringify({
        version: '0.1',
        log: { formatter: 'json' },
        storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
        auth: { htpasswd: { realm: 'fleet', path: htpasswd } },
        http: {
          secret: 'a secret that all processes share',
          draintimeout: '5s',
          tls: { certificate: join(certificates, 'site.crt'), key: join(certificates, 'site.key') },
        },
        redis: { addr: `127.0.0.1:${redisRelay.port}`, readtimeout: '1s' },
        portcullis: {
          gateway: {
            cores: coreRelays.map(({ port }) => at(port)),
            auth: authRelays.map(({ port }) => at(port)),
          },
          ...portcullis,
          auth: { state, ...(portcullis.auth as object | undefined) },
        },
      }),
    );

    const launch = async (kind: Kind, port: number): Promise<Member> => {
      const settings = {
        gateway: 'HTTP_ADDR',
        auth: 'PORTCULLIS_AUTH_LISTEN',
        core: 'PORTCULLIS_CORE_LISTEN',
      };
      const env = { [`REGISTRY_${settings[kind]}`]: `127.0.0.1:${port}` };
      const member = createMember(kind, port, { config, env, program });
      cleanups.push(() => member.kill());
      await member.start();
      return member;
    };
    const all = async (kind: Kind, list: readonly number[]) =>
      await Promise.all(list.map((port) => launch(kind, port)));
    const [authMembers, coreMembers] = await Promise.all([
      all('auth', authPorts),
      all('core', corePorts),
    ]);
    const gatewayMembers = await all('gateway', gatewayPorts);
    const balancer = await startRelay(gatewayPorts);
    cleanups.push(() => balancer.close());
    return {
      dir,
      root,
      redis,
      redisRelay,
      coreRelays,
      authRelays,
      gateways: gatewayMembers,
      auths: authMembers,
      cores: coreMembers,
      balancer,
      host: `${host}:${balancer.port}`,
      url: `https://${host}:${balancer.port}`,
      ca: join(certificates, 'ca.crt'),
      user,
      password,
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

function createMember(
  kind: Kind,
  port: number,
  { config, env, program: first }: { config: string; env: Record<string, string>; program: string },
): Member {
  let program = first;
  let output = '';
  const isOver = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

  function spawnIt(more: Record<string, string>): ChildProcess {
    const child = spawn(program, [kind, config], {
      env: { ...process.env, ...env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    return child;
  }

  const end = async (signal: NodeJS.Signals) => {
    const { child } = member;
    if (isOver(child)) return child.exitCode;
    child.kill(signal);
    // A process that is held up learns of no other signal.
    if (signal === 'SIGKILL') child.kill('SIGCONT');
    await once(child, 'exit');
    return child.exitCode;
  };

  const member: Member = {
    kind,
    port,
    // Replaced at the start; nobody looks at it before.
    child: undefined as unknown as ChildProcess,
    output: () => output,
    async start(more = {}, other = program) {
      program = other;
      const from = output.length;
      const child = spawnIt(more);
      member.child = child;
      await waitFor(`a ${kind} to be ready`, () => {
        if (isOver(child)) throw new Error(`the ${kind} ended with ${child.exitCode}:\n${output}`);
        return output.slice(from).includes(`${kind} is ready`);
      });
    },
    stop: () => end('SIGTERM'),
    async kill() {
      if (member.child !== undefined) await end('SIGKILL');
    },
    pause: () => void member.child.kill('SIGSTOP'),
    resume: () => void member.child.kill('SIGCONT'),
  };
  return member;
}
