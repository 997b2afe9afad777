import { createHash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../support/run.ts';
import { type Contender, clearBlobs, clientCpu, type Setting } from './contenders.ts';
import { secondsOf } from './spent.ts';

/** What one load took of a server. */
export interface Cost {
  /** Processor seconds a GiB, or milliseconds a request. */
  processor: number;
  /** MiB a second, or requests a second. */
  rate: number;
}

const MiB = 1024 * 1024;

/** The client, on a processor of its own. */
async function curl({ certificates }: Setting, contender: Contender, args: readonly string[]) {
  const { credentials } = contender;
  const login = credentials === undefined ? [] : ['-u', credentials];
  const common = ['-sS', '--fail', '--cacert', join(certificates, 'ca.crt'), ...login];
  return await mustRun('taskset', ['-c', clientCpu, 'curl', ...common, ...args]);
}

/** A file of bytes that no round before had. @returns its digest */
export async function writeBlob(file: string, mebibytes: number, round: number): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(file, 'w');
  try {
    const piece = Buffer.alloc(MiB);
    for (let index = 0; index < mebibytes; index += 1) {
      // Hard to compress, and cheap to make.
      for (let at = 0; at < MiB; at += 4) piece.writeUInt32LE((at * 2654435761 + index) >>> 0, at);
      piece.write(`${round} ${index}`);
      await handle.write(piece);
      hash.update(piece);
    }
  } finally {
    await handle.close();
  }
  return `sha256:${hash.digest('hex')}`;
}

export async function measured(
  contender: Contender,
  amount: number,
  action: () => Promise<unknown>,
): Promise<Cost> {
  const before = await secondsOf(contender);
  const began = performance.now();
  await action();
  const elapsed = (performance.now() - began) / 1000;
  return {
    processor: (await secondsOf(contender)) - before,
    rate: amount / elapsed,
  };
}

interface Pushed {
  file: string;
  digest: string;
  mebibytes: number;
}

/** Opens an upload. @returns its address */
async function openUpload(setting: Setting, contender: Contender): Promise<URL> {
  const { url } = contender;
  const args = ['-X', 'POST', ...headOnly, `${url}/v2/bench/app/blobs/uploads/`];
  return new URL(locationIn(await curl(setting, contender, args)), url);
}

const headOnly = ['-D', '-', '-o', '/dev/null'];
const locationIn = (text: string) => /^location: (\S+)/im.exec(text)?.[1] ?? '';
/** PATCH of a whole file, as docker does it. */
const patch = (file: string, to: URL) => {
  const binary = ['-H', 'Content-Type: application/octet-stream', '-H', 'Expect:'];
  return ['-X', 'PATCH', ...binary, '-T', file, ...headOnly, to.href];
};

/** PATCH of the whole and PUT, as docker pushes a layer. */
async function pushTo(
  setting: Setting,
  contender: Contender,
  to: URL,
  { file, digest }: Pushed,
): Promise<void> {
  const sent = await curl(setting, contender, patch(file, to));
  const end = new URL(locationIn(sent), contender.url);
  end.searchParams.set('digest', digest);
  await curl(setting, contender, ['-X', 'PUT', '-H', 'Content-Length: 0', end.href]);
}

/** A push of one blob, or of the same one several times at once. */
export async function push(
  setting: Setting,
  contender: Contender,
  pushed: Pushed,
  { atOnce = 1 } = {},
): Promise<Cost> {
  await clearBlobs(contender);
  const uploads = await Promise.all(
    Array.from({ length: atOnce }, () => openUpload(setting, contender)),
  );
  const mebibytes = pushed.mebibytes * atOnce;
  const cost = await measured(contender, mebibytes, () =>
    Promise.all(uploads.map((to) => pushTo(setting, contender, to, pushed))),
  );
  return { ...cost, processor: (cost.processor * 1024) / mebibytes };
}

/** The p99 of GET over 8 connections, in ms, alone and beside eight pushes that go on meanwhile. */
export async function latencies(
  setting: Setting,
  contender: Contender,
  request: Repeated,
  pushed: Pushed,
): Promise<{ alone: number; beside: number }> {
  const p99 = async () => {
    const { text } = await wrk(setting, contender, request, ['-c', '8', '--latency']);
    const [, value = 'NaN', unit = 'ms'] = /99%\s+([\d.]+)(us|ms|s)/.exec(text) ?? [];
    return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'];
  };
  const alone = await p99();
  let isOver = false;
  const pushes = Array.from({ length: 8 }, async () => {
    while (!isOver) await pushTo(setting, contender, await openUpload(setting, contender), pushed);
  });
  const beside = await p99();
  isOver = true;
  await Promise.all(pushes);
  return { alone, beside };
}

/** GET of a blob, or of the same one several times at once. @param path below the server's address */
export async function pull(
  setting: Setting,
  contender: Contender,
  { path, mebibytes }: { path: string; mebibytes: number },
  { atOnce = 1 } = {},
): Promise<Cost> {
  const get = () => curl(setting, contender, ['-o', '/dev/null', contender.url + path]);
  const cost = await measured(contender, mebibytes * atOnce, () =>
    Promise.all(Array.from({ length: atOnce }, get)),
  );
  return { ...cost, processor: (cost.processor * 1024) / (mebibytes * atOnce) };
}

/** A small request that is made again and again. */
export interface Repeated {
  path: string;
  authorization: string | undefined;
  seconds: number;
}

/** @returns what wrk printed */
async function wrk(
  setting: Setting,
  contender: Contender,
  { path, authorization, seconds }: Repeated,
  options: readonly string[],
): Promise<{ text: string }> {
  const script = join(setting.dir, 'get.lua');
  const lines = ['wrk.headers["Accept"] = "application/vnd.oci.image.manifest.v1+json"'];
  if (authorization !== undefined) lines.push(`wrk.headers["Authorization"] = "${authorization}"`);
  await writeFile(script, `${lines.join('\n')}\n`);
  const args = ['-t', '1', '-d', `${seconds}s`, ...options, '-s', script, contender.url + path];
  const text = await mustRun('taskset', ['-c', clientCpu, 'wrk', ...args]);
  if (/Non-2xx/.test(text)) throw new Error(`${contender.name}: ${text}`);
  return { text };
}

/** GET over 64 connections, by wrk. */
export async function repeatGet(
  setting: Setting,
  contender: Contender,
  request: Repeated,
): Promise<Cost> {
  return await repeated(contender, async () => {
    const { text } = await wrk(setting, contender, request, ['-c', '64']);
    return Number(/(\d+) requests in/.exec(text)?.[1] ?? 0);
  });
}

/** HEAD over 64 connections, by our own client. */
export async function repeatHead(
  setting: Setting,
  contender: Contender,
  { path, authorization = '', seconds }: Repeated,
): Promise<Cost> {
  const script = new URL('./head-client.ts', import.meta.url).pathname;
  const ca = join(setting.certificates, 'ca.crt');
  const command = [process.execPath, script, contender.url + path, ca, `${seconds}`];
  return await repeated(contender, async () => {
    const env = { AUTHORIZATION: authorization };
    const text = await mustRun('taskset', ['-c', clientCpu, ...command], { env });
    const [, requests = '0', share = '1'] = /(\d+) requests, ([\d.]+)/.exec(text) ?? [];
    if (Number(share) > 0.9) process.stderr.write(`the client was the limit: ${text}`);
    return Number(requests);
  });
}

/** Images of forty small layers, pushed by one client, or pulled by 32 at once; by our own client. */
export async function moveLayers(
  setting: Setting,
  contender: Contender,
  what: 'push' | 'pull',
  { authorization = '', seconds }: Omit<Repeated, 'path'>,
): Promise<Cost> {
  const script = new URL('./layers-client.ts', import.meta.url).pathname;
  const ca = join(setting.certificates, 'ca.crt');
  const command = [process.execPath, script, what, contender.url, ca, `${seconds}`];
  let images = 0;
  let elapsed = 0;
  const cost = await measured(contender, 1, async () => {
    const env = { AUTHORIZATION: authorization };
    const text = await mustRun('taskset', ['-c', clientCpu, ...command], { env });
    const [, count = '0', time = '0', share = '1'] =
      /(\d+) images in ([\d.]+) s, ([\d.]+)/.exec(text) ?? [];
    if (Number(share) > 0.9) process.stderr.write(`the client was the limit: ${text}`);
    [images, elapsed] = [Number(count), Number(time)];
  });
  return { processor: (cost.processor * 1000) / images, rate: images / elapsed };
}

/** @param action resolves with how many requests it made */
async function repeated(contender: Contender, action: () => Promise<number>): Promise<Cost> {
  let requests = 0;
  const cost = await measured(contender, 1, async () => {
    requests = await action();
  });
  return { ...cost, processor: (cost.processor * 1000) / requests, rate: requests * cost.rate };
}
