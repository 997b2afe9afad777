import { parseAddress } from '../values/listen-address.ts';
import type { Secret } from '../values/secret.ts';
import type { Configuration } from './schema/configuration.ts';

/** How often to look, in ms, and after how many failures in a row it counts as failed. */
export interface Watch {
  interval: number;
  threshold: number;
}

/** What decides whether requests are served: `health`; times in ms. */
export interface HealthSettings {
  /** Undefined: the storage is not watched. */
  storage: Watch | undefined;
  files: (Watch & { file: string })[];
  http: (Watch & HttpProbe)[];
  tcp: (Watch & { host: string; port: number; timeout: number })[];
}

export interface HttpProbe {
  url: URL;
  headers: Record<string, string[]>;
  /** The status that counts as good. */
  status: number;
  timeout: number;
}

/** What a check has when its interval is given as nothing, as in the original. */
const usualInterval = 10_000;

/** @throws Error with one clear sentence for a URL or an address that is none */
export function healthSettings({ health }: Configuration): HealthSettings {
  const { storagedriver, file = [], http = [], tcp = [] } = health;
  return {
    storage: storagedriver?.enabled ? watch(storagedriver) : undefined,
    files: file.map((one) => ({ ...watch(one), file: one.file })),
    http: http.map((one, index) => ({
      ...watch(one),
      url: parseUrl(one.uri, `health.http[${index}].uri`),
      headers: revealHeaders(one.headers ?? {}),
      status: one.statuscode || 200,
      timeout: timeoutOf(one),
    })),
    tcp: tcp.map((one, index) => ({
      ...watch(one),
      host: 'localhost',
      ...parseAddress(one.addr, `health.tcp[${index}].addr`),
      timeout: timeoutOf(one),
    })),
  };
}

function revealHeaders(headers: Readonly<Record<string, readonly Secret[]>>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [name, values.map((one) => one.reveal())]),
  );
}

/** Milliseconds after which a look has failed; without one that is configured no longer than until the next, or a minute. */
function timeoutOf(one: Watch & { timeout?: number | undefined }): number {
  return one.timeout || Math.min(watch(one).interval, 60_000);
}

function watch({ interval, threshold }: Watch): Watch {
  return { interval: interval || usualInterval, threshold: Math.max(1, threshold) };
}

/** The message does not repeat the value: a URL may hold a password. */
function parseUrl(uri: string, key: string): URL {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error(`${key} is not a URL such as http://127.0.0.1:8080/live`);
  }
  return url;
}
