/**
 * What one client can make the registry spend, and what others feel of it. Starts a registry of its own with
 * plain HTTP on loopback; takes some minutes. The numbers stand in docs/reliability.md, "A budget for everybody".
 *
 *     node test/bench/budgets.ts [manifests|readers|uploads|catalog]
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { Agent, type ClientRequest, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConfigured } from '../support/configured-stack.ts';
import { type Stack, servicePids } from '../support/stack.ts';

const MiB = 1024 * 1024;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const users = { pusher: 'secret', other: 'secret', nobody: 'secret' };
const wanted = process.argv[2];

const stack = await startConfigured({
  users,
  sections: () => ({
    portcullis: {
      acl: [
        { match: { account: 'pusher' }, actions: ['*'] },
        { match: { account: 'other', name: 'other/**' }, actions: ['*'] },
      ],
    },
  }),
});
try {
  if (wanted === undefined || wanted === 'manifests') await manifests(stack);
  if (wanted === undefined || wanted === 'readers') await readers(stack);
  if (wanted === undefined || wanted === 'uploads') await uploads(stack);
  if (wanted === undefined || wanted === 'catalog') await catalog(stack);
} finally {
  await stack.remove();
}

async function manifests(on: Stack): Promise<void> {
  const token = await tokenFor(on, 'pusher', 'repository:big/app:pull,push');
  const digests = await pushBlobs(on, 'big/app', token, 500);
  const of = (count: number, known: readonly string[]) => {
    const layers = Array.from({ length: count }, (_, index) => ({
      mediaType: 'a/b',
      digest: known[index % known.length],
      size: 1,
      // No two manifests are the same.
      ...(index === 0 ? { annotations: { salt: randomBytes(8).toString('hex') } } : {}),
    }));
    return Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config: layers[0], layers }),
    );
  };
  const put = (bytes: Buffer) =>
    send(on, 'PUT', '/v2/big/app/manifests/v1', {
      token,
      body: bytes,
      headers: { 'Content-Type': manifestType },
    });
  for (const count of [500, 9000, 33_000]) {
    const bytes = of(count, digests);
    const started = performance.now();
    const status = await put(bytes);
    tell(`one manifest of ${count} descriptors`, `${status} after ${ms(started)}`);
  }
  for (const count of [9000, 33_000]) {
    const all = Array.from({ length: 30 }, () => of(count, digests));
    const probe = await probeWhile(on, async () => {
      const statuses = await Promise.all(all.map(put));
      return counted(statuses);
    });
    tell(`30 manifests of ${count} descriptors at once`, probe);
  }
  const [core = 0] = await servicePids(on.child.pid ?? 0, 'core');
  await sleep(1000);
  const body = of(9000, digests);
  const leaving = Array.from({ length: 10 }, () => {
    const outgoing = open(on, 'PUT', '/v2/big/app/manifests/v2', token, {
      'Content-Type': manifestType,
      'Content-Length': String(body.length),
    });
    outgoing.end(body);
    return outgoing;
  });
  await sleep(300);
  for (const outgoing of leaving) outgoing.destroy();
  const before = await cpuSeconds(core);
  await sleep(8000);
  const spent = (await cpuSeconds(core)) - before;
  tell(
    '10 manifests of 9000 descriptors whose clients left',
    `${spent.toFixed(1)} s of work after`,
  );
}

async function readers(on: Stack): Promise<void> {
  const token = await tokenFor(on, 'pusher', 'repository:big/layer:pull,push');
  const bytes = randomBytes(64 * MiB);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  await send(on, 'POST', `/v2/big/layer/blobs/uploads/?digest=${digest}`, { token, body: bytes });
  const before = await residentBytes(on);
  const sockets = Array.from({ length: 300 }, () => {
    const socket = connect(on.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write(
      `GET /v2/big/layer/blobs/${digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    return socket;
  });
  await sleep(6000);
  const after = await residentBytes(on);
  tell(
    '300 readers that take nothing',
    Object.entries(after)
      .map(([name, now]) => `${name} +${Math.round((now - (before[name] ?? 0)) / MiB)} MiB`)
      .join(', '),
  );
  for (const socket of sockets) socket.destroy();
}

async function uploads(on: Stack): Promise<void> {
  const token = await tokenFor(on, 'pusher', 'repository:big/begun:pull,push');
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const started = performance.now();
  const statuses = await Promise.all(
    Array.from({ length: 3000 }, () =>
      send(on, 'POST', '/v2/big/begun/blobs/uploads/', { token, agent }),
    ),
  );
  agent.destroy();
  tell('3000 uploads begun by one', `${counted(statuses)} in ${ms(started)}`);
}

async function catalog(on: Stack): Promise<void> {
  const root = join(on.dir, 'registry/docker/registry/v2/repositories');
  for (let index = 0; index < 20_000; index += 1) {
    await mkdir(join(root, `secret/r${index}/_layers`), { recursive: true });
  }
  const token = await tokenFor(on, 'nobody', 'registry:catalog:*');
  for (const round of ['cold', 'warm']) {
    let path: string | undefined = '/v2/_catalog?n=100';
    let pages = 0;
    let longest = 0;
    const started = performance.now();
    while (path !== undefined) {
      const began = performance.now();
      const response: Response = await fetch(on.url + path, {
        headers: { Authorization: `Bearer ${token}` },
      });
      await response.arrayBuffer();
      longest = Math.max(longest, performance.now() - began);
      pages += 1;
      path = /<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1];
    }
    tell(
      `the catalog of who may see none of 20 000 repositories, ${round}`,
      `${pages} pages in ${ms(started)}, the longest ${longest.toFixed(0)} ms`,
    );
  }
}

/** Asks for a small thing of somebody else's meanwhile, and tells how long that took at most. */
async function probeWhile(on: Stack, action: () => Promise<string>): Promise<string> {
  const token = await tokenFor(on, 'other', 'repository:other/app:pull,push');
  const before = await residentBytes(on);
  let peak = before.core ?? 0;
  let longest = 0;
  let over = false;
  const probing = (async () => {
    while (!over) {
      const began = performance.now();
      await send(on, 'GET', '/v2/other/app/manifests/none', { token });
      longest = Math.max(longest, performance.now() - began);
      peak = Math.max(peak, (await residentBytes(on)).core ?? 0);
      await sleep(20);
    }
  })();
  const started = performance.now();
  const outcome = await action();
  over = true;
  await probing;
  const grown = Math.round((peak - (before.core ?? 0)) / MiB);
  return `${outcome} in ${ms(started)}; others waited ${longest.toFixed(0)} ms at most, core +${grown} MiB`;
}

async function pushBlobs(on: Stack, name: string, token: string, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const bytes = randomBytes(16);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const path = `/v2/${name}/blobs/uploads/?digest=${digest}`;
    await send(on, 'POST', path, { token, body: bytes });
    found.push(digest);
  }
  return found;
}

async function tokenFor(on: Stack, user: string, scope: string): Promise<string> {
  const response = await fetch(`${on.url}/v2/_token?service=portcullis&scope=${scope}`, {
    headers: { Authorization: `Basic ${btoa(`${user}:secret`)}` },
  });
  return ((await response.json()) as { token: string }).token;
}

interface Sending {
  token: string;
  body?: Buffer;
  headers?: Record<string, string>;
  agent?: Agent;
}

/** @returns the status; 0 where the connection broke */
async function send(
  on: Stack,
  method: string,
  path: string,
  { token, body, headers = {}, agent }: Sending,
): Promise<number> {
  const length = body?.length ?? 0;
  const all = { ...headers, ...(method === 'GET' ? {} : { 'Content-Length': String(length) }) };
  const outgoing = open(on, method, path, token, all, agent);
  outgoing.end(body);
  return await new Promise((resolve) => {
    outgoing.once('response', (incoming) => {
      incoming.resume();
      incoming.once('close', () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.once('error', () => resolve(0));
  });
}

function open(
  on: Stack,
  method: string,
  path: string,
  token: string,
  headers: Record<string, string>,
  agent?: Agent,
): ClientRequest {
  const outgoing = request({
    host: '127.0.0.1',
    port: on.port,
    method,
    path,
    headers: { Authorization: `Bearer ${token}`, ...headers },
    ...(agent === undefined ? {} : { agent }),
  });
  outgoing.on('error', () => {});
  return outgoing;
}

async function residentBytes(on: Stack): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const service of ['gateway', 'core']) {
    const [pid] = await servicePids(on.child.pid ?? 0, service);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    found[service] = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }
  return found;
}

async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function counted(statuses: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} × ${status}`).join(', ');
}

function ms(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

function tell(what: string, found: string): void {
  process.stdout.write(`${what}: ${found}\n`);
}
