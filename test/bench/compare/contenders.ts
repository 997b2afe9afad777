import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../support/free-port.ts';
import { mustRun, run } from '../../support/run.ts';
import { spawn } from '../../support/spawn.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A server of blobs over TLS, all its processes on one processor. */
export interface Contender {
  name: string;
  url: string;
  /** `user:password` for those that ask for one. */
  credentials: string | undefined;
  /** A new token for `Authorization: Bearer`; undefined for those that have none. */
  token?: (scope: string) => Promise<string>;
  /** Where its blobs are, to make room between two pushes. */
  root: string;
  startedInMs: number;
  pids(): Promise<number[]>;
  stop(): Promise<void>;
}

/** What all have in common. */
export interface Setting {
  /** A folder for what each of them needs. */
  dir: string;
  certificates: string;
  launcher: string;
}

/** The processor that servers run on, unless it is said; clients run on the next one. */
const serverCpu = '0';
export const clientCpu = '1';

const password = 'a good password';

interface Started {
  name: string;
  port: number;
  root: string;
  credentials?: string;
  command: readonly string[];
  /** The processors to run on, as taskset has them. */
  cpus?: string | undefined;
}

async function start(
  { certificates }: Setting,
  { name, port, root, credentials, command, cpus = serverCpu }: Started,
): Promise<Contender> {
  const url = `https://localhost:${port}`;
  const ca = join(certificates, 'ca.crt');
  const began = performance.now();
  const child: ChildProcess = spawn('taskset', ['-c', cpus, ...command], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ask = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', ca, `${url}/v2/`];
  await waitFor(name, async () => /^[24]/.test((await run('curl', ask)).stdout));
  return {
    name,
    url,
    credentials,
    root,
    startedInMs: performance.now() - began,
    pids: () => familyOf(child.pid ?? 0),
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** A process and all below it. */
async function familyOf(pid: number): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = new Map<number, number>();
  for (const name of names) {
    const status = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    parents.set(Number(name), Number(fields[1]));
  }
  const family = [pid];
  for (const one of family) {
    for (const [child, parent] of parents) if (parent === one) family.push(child);
  }
  return family;
}

/** The file of the one user, with a hash of the cost that htpasswd takes by itself. */
async function writeUsers({ launcher }: Setting, dir: string): Promise<string> {
  const file = join(dir, 'htpasswd');
  await mustRun(launcher, ['htpasswd', '-B', '-c', '-i', '-C', '5', file, 'bench'], {
    input: password,
  });
  return file;
}

interface OursOptions {
  name: string;
  /** `tcp`: its processes are linked by TCP, and the core sends the bytes. */
  how: 'sockets' | 'tcp';
  launcher?: string;
  /** The processors to run on, as taskset has them. */
  cpus?: string;
  /** How many gateways there are. */
  gateways?: number;
}

/** A registry of ours. */
export async function startOurs(
  setting: Setting,
  { name, how, launcher = setting.launcher, cpus, gateways = 1 }: OursOptions,
): Promise<Contender> {
  const dir = join(setting.dir, name.replaceAll(/\W+/g, '-'));
  const root = join(dir, 'registry');
  await mkdir(root, { recursive: true });
  const htpasswd = await writeUsers(setting, dir);
  const port = await freePort();
  const [core, auth] = [await freePort(), await freePort()];
  const links = {
    core: { listen: `127.0.0.1:${core}` },
    auth: { listen: `127.0.0.1:${auth}` },
    gateway: {
      cores: [`http://127.0.0.1:${core}`],
      auth: [`http://127.0.0.1:${auth}`],
    },
  };
  const config = join(dir, 'config.yml');
  await writeFile(
    config,
    stringify({
      ...commonSections(setting, { root, port }),
      auth: { htpasswd: { realm: 'bench', path: htpasswd } },
      portcullis: {
        sockets: join(dir, 'sockets'),
        ...(how === 'tcp' ? links : { gateway: { workers: gateways } }),
      },
    }),
  );
  const command = [launcher, 'serve', config];
  const credentials = `bench:${password}`;
  const contender = await start(setting, { name, port, root, credentials, command, cpus });
  return {
    ...contender,
    async token(scope) {
      const query = new URLSearchParams({ service: 'portcullis', scope });
      const address = `${contender.url}/v2/_token?${query}`;
      const ca = join(setting.certificates, 'ca.crt');
      const text = await mustRun('curl', ['-sS', '--cacert', ca, '-u', credentials, address]);
      return (JSON.parse(text) as { token: string }).token;
    },
  };
}

/** The original, or another registry that reads its configuration. */
export async function startDistribution(
  setting: Setting,
  { name, binary, htpasswd = false }: { name: string; binary: string; htpasswd?: boolean },
): Promise<Contender> {
  const dir = join(setting.dir, name.replaceAll(/\W+/g, '-'));
  const root = join(dir, 'registry');
  await mkdir(root, { recursive: true });
  const port = await freePort();
  const path = htpasswd ? await writeUsers(setting, dir) : undefined;
  const config = join(dir, 'config.yml');
  await writeFile(
    config,
    stringify({
      ...commonSections(setting, { root, port }),
      ...(path === undefined ? {} : { auth: { htpasswd: { realm: 'bench', path } } }),
    }),
  );
  const command = [binary, 'serve', config];
  const login = htpasswd ? { credentials: `bench:${password}` } : {};
  return await start(setting, { name, port, root, command, ...login });
}

/** nginx as a server of one file, for the price of TLS and of nothing else. */
export async function startNginx(setting: Setting, file: string): Promise<Contender> {
  const dir = join(setting.dir, 'nginx');
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const { certificate, key } = tlsOf(setting);
  const config = join(dir, 'nginx.conf');
  await writeFile(
    config,
    `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${dir}; proxy_temp_path ${dir};
  fastcgi_temp_path ${dir}; uwsgi_temp_path ${dir}; scgi_temp_path ${dir};
  server { listen 127.0.0.1:${port} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_buffer_size 64k; output_buffers 2 512k;
    location /blob { alias ${file}; }
    location /v2/ { return 200; } } }`,
  );
  return await start(setting, { name: 'nginx', port, root: dir, command: ['nginx', '-c', config] });
}

/** What is the same in the configuration of every registry. */
function commonSections(setting: Setting, { root, port }: { root: string; port: number }) {
  return {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: 'x'.repeat(40), tls: tlsOf(setting) },
  };
}

function tlsOf({ certificates }: Setting) {
  return { certificate: join(certificates, 'site.crt'), key: join(certificates, 'site.key') };
}

/** Removes what was pushed, so that the disk does not fill. */
export async function clearBlobs({ root }: Contender): Promise<void> {
  await rm(join(root, 'docker/registry/v2/blobs'), { recursive: true, force: true });
}
