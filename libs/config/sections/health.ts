import { z } from 'zod';
import { parseAddress } from '../../values/listen-address.ts';
import { count, duration, flag, secretList, text } from '../../values/schema.ts';
import type { Secret } from '../../values/secret.ts';

/** As in the original, 0 is its usual time. */
const timeout = duration('1ms', '24h', { orZero: true });

const threshold = count(0, 1_000_000)
  .default(0)
  .describe('How many failures in a row count; 0 is 1, as in the original.');
const interval = duration('10ms', '8760h', { orZero: true })
  .default(10_000)
  .describe('How often it is looked at; 0 is 10s, as in the original.');

export const healthSchema = z.object({
  storagedriver: z
    .object({
      enabled: flag
        .default(false)
        .describe(
          'Whether the storage is asked regularly, and a failure makes a process not ready.',
        ),
      interval,
      threshold: count(0, 1_000_000).default(3).describe('How many failures in a row count.'),
    })
    .optional(),
  file: z
    .array(
      z.object({
        file: text.describe('File whose presence makes the processes unhealthy.'),
        interval,
        threshold,
      }),
    )
    .optional(),
  http: z
    .array(
      z.object({
        uri: text.describe('Address that is asked with HEAD.'),
        headers: z.record(z.string(), secretList).optional().describe('Headers of the request.'),
        statuscode: count(0, 599)
          .optional()
          .describe('Status that it must answer; 0 is 200, as in the original.'),
        timeout: timeout
          .optional()
          .describe('How long an answer may take; 0 is the interval, at most a minute.'),
        interval,
        threshold,
      }),
    )
    .optional(),
  tcp: z
    .array(
      z.object({
        addr: text.describe('Host and port that must accept a connection.'),
        timeout: timeout
          .optional()
          .describe('How long that may take; 0 is the interval, at most a minute.'),
        interval,
        threshold,
      }),
    )
    .optional(),
});

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
export function healthSettings({
  storagedriver,
  file = [],
  http = [],
  tcp = [],
}: z.infer<typeof healthSchema>): HealthSettings {
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
