import { Agent, createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { Verifier } from '#libs/auth/verify.ts';
import { believeAll } from '#libs/hop/guard.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { listen } from '#libs/http/serve.ts';
import type { PullFilter } from '../../services/core/api/pull-filter.ts';
import { createCoreApp } from '../../services/core/app.ts';
import { createHealth, type Health } from '../../services/core/health/health.ts';
import type { ReferenceRules } from '../../services/core/registry/references.ts';
import { createRegistry } from '../../services/core/registry/registry.ts';
import { createEmbeddedSessionStore } from '../../services/core/sessions/embedded.ts';
import { createEmbeddedLocks } from '../../services/core/sessions/embedded-locks.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import type { Fixture, ImageFixture } from './images.ts';
import { createRecordingLog } from './recording-log.ts';

export interface CoreSetup {
  driver: StorageDriver;
  verifier?: Verifier;
  pullFilter?: PullFilter;
  deleteEnabled?: boolean;
  readOnly?: boolean;
  /** What a manifest may lack. */
  rules?: ReferenceRules;
  /** As if the storage disliked smaller parts. */
  chunkMinLength?: number;
  pageSize?: { catalog: number; tags: number };
}

export interface Sent {
  headers?: Record<string, string>;
  /** Several parts are sent chunked, without a length. */
  body?: Buffer | string | readonly Buffer[];
}

export interface Received {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
  /** The codes of an error answer; empty where the body is none. */
  codes: string[];
}

/** A core in this process, on a port of its own, and a client that shows the bare answers. */
export interface Core {
  send(method: string, path: string, sent?: Sent): Promise<Received>;
  health: Health;
  /** Messages of everything logged as a warning or worse. */
  problems(): string[];
  close(): Promise<void>;
}

export async function startCore({ driver, ...setup }: CoreSetup): Promise<Core> {
  const { log, messages } = createRecordingLog();
  const health = createHealth({ checks: [], log });
  const sessions = createEmbeddedSessionStore();
  const rules = setup.rules === undefined ? {} : { rules: setup.rules };
  const app = createCoreApp({
    readiness: createReadiness(),
    log,
    health,
    guard: believeAll,
    registry: createRegistry({
      driver: withChunkMinLength(driver, setup.chunkMinLength),
      sessions,
      locks: createEmbeddedLocks(),
      ...rules,
    }),
    verifier: setup.verifier,
    pullFilter: setup.pullFilter,
    deleteEnabled: setup.deleteEnabled ?? true,
    readOnly: setup.readOnly ?? false,
    pageSize: setup.pageSize ?? { catalog: 1000, tags: 1000 },
  });
  const handle = app.callback();
  const server = createServer((incoming, response) => void handle(incoming, response));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const agent = new Agent({ keepAlive: true });

  return {
    health,
    problems: () => messages().filter((message) => !message.startsWith('info:')),
    send: (method, path, sent = {}) => exchange({ agent, port, method, path }, sent),
    async close() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      health.close();
      await sessions.close();
    },
  };
}

/** The driver itself, but for what it says of itself. */
function withChunkMinLength(driver: StorageDriver, chunkMinLength?: number): StorageDriver {
  if (chunkMinLength === undefined) return driver;
  return new Proxy(driver, {
    get(target, name) {
      if (name === 'chunkMinLength') return chunkMinLength;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

interface Target {
  agent: Agent;
  port: number;
  method: string;
  path: string;
}

async function exchange(target: Target, { headers = {}, body }: Sent): Promise<Received> {
  const parts = body === undefined ? [] : Array.isArray(body) ? (body as Buffer[]) : [body];
  const whole = parts.length === 1 ? Buffer.byteLength(parts[0] as Buffer | string) : undefined;
  const length = body === undefined ? 0 : whole;
  const announced = length === undefined ? {} : { 'Content-Length': String(length) };
  const bodyless = target.method === 'GET' || target.method === 'HEAD';
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', ...target, headers: { ...(bodyless ? {} : announced), ...headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body,
            // Read when asked for: most bodies are large and no text.
            get text() {
              return body.toString('utf8');
            },
            get codes() {
              return codesOf(body.toString('utf8'));
            },
          });
        });
      },
    );
    // After an answer that came early the rest of the request may meet a closed connection.
    outgoing.on('error', reject);
    for (const part of parts) outgoing.write(part);
    outgoing.end();
  });
}

function codesOf(text: string): string[] {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code: string }[] };
    return (errors ?? []).map(({ code }) => code);
  } catch {
    return [];
  }
}

/** Pushes one blob in one request. */
export async function pushBlob(
  core: Core,
  name: string,
  { bytes, descriptor }: Fixture,
  headers: Record<string, string> = {},
): Promise<Received> {
  const path = `/v2/${name}/blobs/uploads/?digest=${descriptor.digest}`;
  return await core.send('POST', path, { body: bytes, headers });
}

/** Pushes a manifest; its blobs must be there. */
export async function pushManifest(
  core: Core,
  name: string,
  { bytes, descriptor }: Fixture,
  reference: string = descriptor.digest,
  headers: Record<string, string> = {},
): Promise<Received> {
  return await core.send('PUT', `/v2/${name}/manifests/${reference}`, {
    body: bytes,
    headers: { 'Content-Type': descriptor.mediaType, ...headers },
  });
}

/** Pushes an image whole. */
export async function pushImage(
  core: Core,
  name: string,
  image: ImageFixture,
  reference?: string,
): Promise<Received> {
  for (const blob of image.blobs) await pushBlob(core, name, blob);
  return await pushManifest(core, name, image, reference);
}
