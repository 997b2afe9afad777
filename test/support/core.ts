import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Verifier } from '#libs/auth/verify.ts';
import { coreLimitsSchema } from '#libs/config/sections/core.ts';
import { trustAnyPeer, trustNoPeer } from '#libs/http/peer-check.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { listen, serverOptions } from '#libs/http/serve.ts';
import type { PullFilter } from '../../services/core/api/pull-filter.ts';
import type { VisibleTree } from '../../services/core/api/visible-tree.ts';
import { createCoreApp } from '../../services/core/app.ts';
import { type CoreBudgets, createCoreBudgets } from '../../services/core/budgets.ts';
import { createHealth, type Health } from '../../services/core/health/health.ts';
import type { HealthCheck } from '../../services/core/health/watch-check.ts';
import type { Ownership } from '../../services/core/ownership/keep-ownership.ts';
import type { ReferenceRules } from '../../services/core/registry/references.ts';
import { createRegistry } from '../../services/core/registry/registry.ts';
import { createEmbeddedSessionStore } from '../../services/core/sessions/embedded.ts';
import { createEmbeddedLocks } from '../../services/core/sessions/embedded-locks.ts';
import type { Locks } from '../../services/core/sessions/locks.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { exchange, type Received, type Sent } from './exchange.ts';
import type { Fixture, ImageFixture } from './images.ts';
import { createRecordingLog } from './recording-log.ts';

// A request that hangs too much on its answer would say so in the log of every process.
process.on('warning', (warning) => {
  if (warning.name === 'MaxListenersExceededWarning') throw warning;
});

export interface CoreSetup {
  driver: StorageDriver;
  verifier?: Verifier;
  pullFilter?: PullFilter;
  deleteEnabled?: boolean;
  readOnly?: boolean;
  /** Who may write; this core, without it. */
  ownership?: Pick<Ownership, 'assertOwned'>;
  checks?: readonly HealthCheck[];
  /** What a manifest may lack. */
  rules?: ReferenceRules;
  /** As if the storage disliked smaller parts. */
  chunkMinLength?: number;
  pageSize?: { catalog: number; tags: number };
  budgets?: Partial<CoreBudgets>;
  maxDescriptors?: number;
  maxOpenUploads?: number;
  /** The storage tree, for gateways that can see it. */
  tree?: VisibleTree;
  /** Whether requests come from processes of ours; they do without it. */
  trusted?: boolean;
}

export type { Received, Sent } from './exchange.ts';

/** A core in this process, on a port of its own, and a client that shows the bare answers. */
export interface Core {
  send(method: string, path: string, sent?: Sent): Promise<Received>;
  port: number;
  /** Requests being handled now. */
  running(): number;
  /** Requests whose clients left before they had an answer. */
  left(): number;
  health: Health;
  /** What its requests wait for each other by. */
  locks: Locks;
  /** Messages of everything logged as a warning or worse. */
  problems(): string[];
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** As the configuration has them. */
const limits = coreLimitsSchema.parse({});

export async function startCore({ driver, ...setup }: CoreSetup): Promise<Core> {
  const { log, messages } = createRecordingLog();
  const health = createHealth({ checks: setup.checks ?? [], log });
  const [sessions, locks] = [createEmbeddedSessionStore(), createEmbeddedLocks()];
  const rules = setup.rules === undefined ? {} : { rules: setup.rules };
  const app = createCoreApp({
    readiness: createReadiness(),
    log,
    health,
    checkPeer: setup.trusted === false ? trustNoPeer : trustAnyPeer,
    tree: setup.tree,
    treeFolder: driver.tree,
    registry: createRegistry({
      driver: withChunkMinLength(driver, setup.chunkMinLength),
      sessions,
      locks,
      maxOpenUploads: setup.maxOpenUploads ?? limits.uploads,
      ...rules,
    }),
    verifier: setup.verifier,
    pullFilter: setup.pullFilter,
    deleteEnabled: setup.deleteEnabled ?? true,
    readOnly: setup.readOnly ?? false,
    budgets: { ...createCoreBudgets(limits), ...setup.budgets },
    maxDescriptors: setup.maxDescriptors ?? limits.descriptors,
    ownership: setup.ownership,
    pageSize: setup.pageSize ?? { catalog: 1000, tags: 1000 },
  });
  const handle = app.callback();
  let [running, left] = [0, 0];
  const serve = (incoming: IncomingMessage, response: ServerResponse) => {
    running += 1;
    response.once('close', () => {
      if (!response.writableFinished) left += 1;
    });
    void handle(incoming, response).finally(() => {
      running -= 1;
    });
  };
  const server = createServer(serverOptions, serve).on('checkExpectation', serve);
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const agent = new Agent({ keepAlive: true });

  async function close(): Promise<void> {
    agent.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    health.close();
    await sessions.close();
  }

  return {
    port,
    running: () => running,
    left: () => left,
    health,
    locks,
    problems: () => messages().filter((message) => !message.startsWith('info:')),
    send: (method, path, sent = {}) => exchange({ agent, port, method, path }, sent),
    close,
    [Symbol.asyncDispose]: close,
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
