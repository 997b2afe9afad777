import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertAuditLog, openAuditLog } from '#libs/audit/audit-log.ts';
import { createRefusalRecord } from '#libs/audit/refusal-record.ts';
import { invalidationChannel } from '#libs/auth/invalidation-channel.ts';
import { openTokenVerifier } from '#libs/auth/open-token-verifier.ts';
import type { Settings } from '#libs/config/settings.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import type { FailingChecks } from '#libs/http/process-status.ts';
import { loadInternalTls, peerCheckOf } from '#libs/internal/listener.ts';
import { measureInstances } from '#libs/internal/measure-instances.ts';
import { openUpstream } from '#libs/internal/open-upstream.ts';
import { treeIdentity } from '#libs/internal/tree-identity.ts';
import { measureBudgets } from '#libs/limits/measure-budgets.ts';
import type { Logger } from '#libs/log/logger.ts';
import { dropPrivileges } from '#libs/process/drop-privileges.ts';
import { servePrivately } from '#libs/process/private-server.ts';
import { type ProcessContext, type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import type { VisibleTree } from './api/visible-tree.ts';
import { createCoreApp } from './app.ts';
import { createPullFilter } from './auth-client.ts';
import { createCoreBudgets } from './budgets.ts';
import { configuredChecks } from './health/checks.ts';
import { createHealth } from './health/health.ts';
import { measureDisk } from './measure-disk.ts';
import { openWrites } from './open-writes.ts';
import { paths } from './registry/paths.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import { createCoordination } from './sessions/create-coordination.ts';
import type { Locks } from './sessions/locks.ts';
import { countTakeovers, measureSessions } from './sessions/measured.ts';
import { isTreeNoted, noteTree } from './sessions/tree-notice.ts';
import { createDriver } from './storage/create-driver.ts';
import type { StorageDriver } from './storage/driver.ts';
import { measureStorage } from './storage/measured.ts';
import { collectRegularly } from './upkeep/collect-regularly.ts';
import { expireUploads } from './upkeep/expire-uploads.ts';
import { createLeaderLease } from './upkeep/leader-lease.ts';
import { type CollectionMeasures, measureCollections } from './upkeep/measure-collections.ts';
import { purgeRegularly } from './upkeep/purge-regularly.ts';
import type { Upkeep } from './upkeep/run-regularly.ts';

/** Milliseconds that a start waits for a first look at the storage, while it serves already. */
const firstLook = 1000;

/** The storage core: the V2 API over one storage tree, for our gateways. */
async function startCore({
  settings,
  log,
  readiness,
  processStatus,
  storageBefore,
  isRestart,
}: ProcessContext): Promise<RunningProcess> {
  const { auth, internal, readOnly } = settings;
  const { metrics } = processStatus;
  const tls = await loadInternalTls(internal.core, internal);
  const redis = settings.redis === undefined ? undefined : await connectRedis(settings.redis, log);
  if (redis !== undefined) measureRedis(redis, metrics);
  const authUpstream = auth === undefined ? undefined : await openUpstream('auth', internal, log);
  if (authUpstream !== undefined) measureInstances({ auth: authUpstream.instances }, metrics);
  const tokenVerifier = await openTokenVerifier(settings, authUpstream?.client, log);
  if (tokenVerifier !== undefined) {
    readiness.require(tokenVerifier.reason);
    redis?.subscribe(invalidationChannel, () => void tokenVerifier.refresh());
  }
  await dropPrivileges(settings, log, { file: settings.audit?.path });
  if (!isRestart) assertAuditLog(settings.audit);
  const before = storageBefore ?? (await treeElsewhere(settings, redis));
  const storage = measureStorage(await createDriver(settings, before), metrics);
  const withdrawTree =
    redis === undefined || storage.tree === undefined ? undefined : noteTree(redis, storage.tree);
  measureDisk(settings.storage, metrics);
  const health = createHealth({ checks: configuredChecks(settings.health, storage), log });
  readiness.require(health.reason);
  processStatus.addChecks(health.failing);
  const shared = redis !== undefined;
  const storageLog =
    settings.storage.driver === 'filesystem' ? log.child({ storage: settings.storage.root }) : log;
  const writes = readOnly
    ? undefined
    : openWrites({ driver: storage, shared, readiness, metrics, log: storageLog });
  const driver = writes?.driver ?? storage;
  const coordination = createCoordination(redis, log);
  const { locks } = coordination;
  const sessions = measureSessions(coordination.sessions, metrics);
  processStatus.addChecks((): FailingChecks => {
    const reason = coordination.unreliable();
    return reason === undefined ? {} : { redis: reason };
  });
  const registry = createRegistry({
    driver,
    sessions,
    locks,
    rules: settings.references,
    maxOpenUploads: settings.core.limits.uploads,
    onUploadTakenOver: countTakeovers(metrics),
  });
  const measures = measureCollections(metrics);
  const upkeep =
    writes === undefined
      ? undefined
      : once(writes.ownership.owned, () =>
          keepUp({ driver, registry, locks, measures, settings, log }),
        );
  const budgets = createCoreBudgets(settings.core.limits);
  measureBudgets([...Object.values(budgets), registry.uploads.limit], metrics);
  const audit = openAuditLog(settings.audit, 'core', log);
  const refusals = createRefusalRecord(() => audit, log);
  const app = createCoreApp({
    log,
    readiness,
    processStatus,
    verifier: tokenVerifier?.verifier,
    health,
    ownership: writes?.ownership,
    checkPeer: peerCheckOf(internal.core, internal),
    audit,
    refusals,
    registry,
    readOnly,
    deleteEnabled: settings.deleteEnabled,
    pageSize: settings.pageSize,
    budgets,
    maxDescriptors: settings.core.limits.descriptors,
    secret: internal.secret,
    tree: await visibleTreeOf(driver, settings.health),
    treeFolder: driver.tree,
    pullFilter: authUpstream === undefined ? undefined : createPullFilter(authUpstream.client),
  });
  const server = await servePrivately(app.callback(), {
    listen: internal.core.listen,
    tls,
    headersTimeout: settings.gateway.headersTimeout,
    setting: 'portcullis.core.listen',
  });
  // Most trees are ours at once; whoever waits for us to be ready meets no refusal then.
  await Promise.race([writes?.ownership.looked, sleep(firstLook, undefined, { ref: false })]);

  return {
    address: server.address,
    followStorage: (listener) => driver.tree?.follow(listener),
    ...(writes === undefined ? {} : { failed: writes.ownership.ended }),
    async stop() {
      await server.stop(settings.http.drainTimeout);
      // These need nothing that may fail below.
      refusals.close();
      await audit.close();
      tokenVerifier?.close();
      authUpstream?.close();
      health.close();
      await upkeep?.close();
      await withdrawTree?.();
      await coordination.close();
      await redis?.close();
      await writes?.close();
      await storage.close();
    },
    async reload() {
      audit.reopen();
    },
  };
}

/** Whether a tree that is not here is where other cores are, so that it is not to be made. */
async function treeElsewhere(
  { storage, readOnly }: Settings,
  redis: RedisConnection | undefined,
): Promise<SeenFolder | undefined> {
  if (redis === undefined || readOnly || storage.driver !== 'filesystem') return undefined;
  const folder = join(storage.root, treeFolder);
  if (existsSync(folder)) return undefined;
  const isNoted = await isTreeNoted(redis, folder);
  // It may be on the very disk of another machine.
  return isNoted ? { mounts: 0 } : undefined;
}

/** The storage tree as gateways see it; undefined where this machine has none. */
async function visibleTreeOf(
  driver: StorageDriver,
  { files, http, tcp }: Settings['health'],
): Promise<VisibleTree | undefined> {
  const folder = driver.localPath?.(paths.root);
  const name = folder === undefined ? undefined : await treeIdentity(folder);
  if (name === undefined) return undefined;
  // Whoever takes the registry out of service by a check means all that it answers. A filesystem of several machines may
  // tell this one late of what another has changed.
  const isStopped = files.length + http.length + tcp.length > 0;
  const validates = !isStopped && (await driver.belongsToThisMachine?.()) === true;
  return { name, validates };
}

/** Starts something when its time has come, unless it was closed before. */
function once(time: Promise<void>, start: () => Upkeep): Upkeep {
  let started: Upkeep | undefined;
  let closed = false;
  void time.then(() => {
    if (!closed) started = start();
  });
  return {
    async close() {
      closed = true;
      await started?.close();
    },
  };
}

interface UpkeepOptions {
  driver: StorageDriver;
  registry: Registry;
  locks: Locks;
  measures: CollectionMeasures;
  settings: Settings;
  log: Logger;
}

/** What is done from time to time, by one core for all. */
function keepUp({ driver, registry, locks, measures, settings, log }: UpkeepOptions): Upkeep {
  const { uploadPurging, garbage } = settings;
  const lease = createLeaderLease(locks, 'upkeep');
  const purging =
    uploadPurging === undefined
      ? undefined
      : purgeRegularly(registry.uploads, uploadPurging, lease, log);
  const expiring = expireUploads(registry.uploads, settings.core.limits.emptyuploads, log);
  const collecting = collectRegularly(driver, garbage, lease, log, measures);
  return {
    async close() {
      await Promise.all([purging, expiring, collecting].map((one) => one?.close()));
      lease.release();
    },
  };
}

await runProcess('core', startCore);
