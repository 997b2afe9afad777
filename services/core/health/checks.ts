import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import type { HealthSettings, HttpProbe, Watch } from '#libs/config/sections/health.ts';
import { FolderGoneError } from '#libs/files/make-folders.ts';
import { paths } from '../registry/paths.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';
import type { HealthCheck } from './watch-check.ts';

/** What clients are told: what is checked, and where, is for those who run the registry. */
const publicMessage = 'a health check of this registry fails; try again later';

/** The checks that the configuration asks for, named as distribution names them. */
export function configuredChecks(health: HealthSettings, driver: StorageDriver): HealthCheck[] {
  return [
    ...treeChecks(driver),
    ...(health.storage === undefined ? [] : [storageCheck(health.storage, driver)]),
    ...health.files.map(fileCheck),
    ...health.http.map(httpCheck),
    ...health.tcp.map(tcpCheck),
  ];
}

/**
 * Whether the tree is there once it was: without its filesystem everything would seem to be gone, and nobody could be told
 * otherwise.
 */
function treeChecks({ tree }: StorageDriver): HealthCheck[] {
  if (tree === undefined) return [];
  const check = async () => {
    if (await tree.isGone()) throw new FolderGoneError(tree.path);
  };
  const watch = { interval: 1000, threshold: 1, maxDuration: 0 };
  return [{ ...watch, name: 'storage', publicMessage: 'the storage is not there', check }];
}

function storageCheck(watch: Watch, driver: StorageDriver): HealthCheck {
  const name = `storagedriver_${driver.name}`;
  const check = async () => void (await ifPresent(driver.stat(paths.root)));
  return { ...watch, name, publicMessage: 'the storage does not answer', maxDuration: 0, check };
}

function fileCheck({ file, ...watch }: HealthSettings['files'][number]): HealthCheck {
  return { ...watch, name: file, publicMessage, maxDuration: 0, check: () => assertAbsent(file) };
}

function httpCheck(probe: HealthSettings['http'][number]): HealthCheck {
  const { interval, threshold, timeout } = probe;
  return {
    interval,
    threshold,
    name: withoutSecrets(probe.url),
    publicMessage,
    maxDuration: 2 * timeout,
    check: () => assertAnswers(probe),
  };
}

function tcpCheck({ host, port, timeout, ...watch }: HealthSettings['tcp'][number]): HealthCheck {
  return {
    ...watch,
    name: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    publicMessage,
    maxDuration: 2 * timeout,
    check: () => assertConnects(host, port, timeout),
  };
}

/** Good while there is no such file: whoever makes it takes the registry out of service. */
async function assertAbsent(file: string): Promise<void> {
  try {
    await stat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  throw new Error('file exists');
}

async function assertAnswers({ url, headers, status, timeout }: HttpProbe): Promise<void> {
  const { target, authorization } = splitCredentials(url);
  // A connection kept from the last time may have been closed meanwhile, which says nothing.
  const sent = new Headers({ connection: 'close' });
  if (authorization !== undefined) sent.set('authorization', authorization);
  for (const [name, values] of Object.entries(headers)) {
    sent.delete(name);
    for (const value of values) sent.append(name, value);
  }
  let answer: Response;
  try {
    answer = await fetch(target, {
      method: 'HEAD',
      headers: sent,
      signal: AbortSignal.timeout(timeout),
    });
  } catch (error) {
    throw new Error(`no answer: ${explain(error)}`);
  }
  if (answer.status !== status) {
    throw new Error(`downstream service returned unexpected status: ${answer.status}`);
  }
}

async function assertConnects(host: string, port: number, timeout: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port });
    const end = (why?: string) => {
      socket.destroy();
      if (why === undefined) resolve();
      else reject(new Error(`no connection: ${why}`));
    };
    socket.setTimeout(timeout, () => end(`none within ${timeout} ms`));
    socket.once('connect', () => end());
    socket.once('error', (error) => end(explain(error)));
  });
}

/** What may be shown of a URL. */
function withoutSecrets(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** A URL's user and password travel in a header. */
function splitCredentials(url: URL): { target: URL; authorization: string | undefined } {
  if (url.username === '' && url.password === '') return { target: url, authorization: undefined };
  const pair = `${decode(url.username)}:${decode(url.password)}`;
  const target = new URL(url);
  target.username = '';
  target.password = '';
  return { target, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** A percent sign that encodes nothing stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The innermost word on what went wrong, which names no URL. */
function explain(error: unknown): string {
  const { cause, code, name } = error as NodeJS.ErrnoException & { cause?: unknown };
  if (cause instanceof Error) return explain(cause);
  return typeof code === 'string' ? code : name;
}
