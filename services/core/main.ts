import { openAuditLog } from '#libs/audit/audit-log.ts';
import { openTrust } from '#libs/auth/open-trust.ts';
import { trustChannel } from '#libs/auth/trust-news.ts';
import type { Settings } from '#libs/config/settings.ts';
import { measureInstances } from '#libs/hop/measure-instances.ts';
import { guardOf, loadHopTls, openHop } from '#libs/hop/open-hop.ts';
import { servePrivately } from '#libs/http/private-server.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { serveAsUser } from '#libs/process/serving-user.ts';
import { connectRedis } from '#libs/redis/connection.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';
import { createCoreApp } from './app.ts';
import { createPullFilter } from './auth-client.ts';
import { collectRegularly } from './collect-regularly.ts';
import { createDuty } from './duty.ts';
import { configuredChecks } from './health/checks.ts';
import { createHealth, type Health } from './health/health.ts';
import { type CollectionMeasures, measureCollections } from './measure-collections.ts';
import { measureDisk } from './measure-disk.ts';
import { type Ownership, takeOwnership } from './owner.ts';
import { purgeRegularly } from './purge-regularly.ts';
import { createRegistry, type Registry } from './registry/registry.ts';
import { createCoordination } from './sessions/create-coordination.ts';
import type { Locks } from './sessions/locks.ts';
import { measureSessions } from './sessions/measured.ts';
import { createDriver } from './storage/create-driver.ts';
import type { StorageDriver } from './storage/driver.ts';
import { measureStorage } from './storage/measured.ts';

/** Milliseconds after which a file half written by another core is nobody's any more. */
const leftoverAge = 24 * 60 * 60 * 1000;

/** The storage core: the V2 API over one storage tree, for our gateways. */
async function startCore(
  settings: Settings,
  log: Logger,
  readiness: Readiness,
  report: SelfReport,
): Promise<RunningProcess> {
  const { auth, hops, readOnly } = settings;
  const { metrics } = report;
  const tls = await loadHopTls(hops.core, hops);
  const redis = settings.redis === undefined ? undefined : await connectRedis(settings.redis, log);
  if (redis !== undefined) measureRedis(redis, metrics);
  const authHop = auth === undefined ? undefined : await openHop('auth', hops, log);
  if (authHop !== undefined) measureInstances({ auth: authHop.instances }, metrics);
  const trust = await openTrust(settings, authHop?.client, log);
  if (trust !== undefined) {
    readiness.require(trust.reason);
    redis?.subscribe(trustChannel, () => void trust.refresh());
  }
  await serveAsUser(settings, log, { file: settings.audit?.path });
  const driver = measureStorage(await createDriver(settings), metrics);
  measureDisk(settings.storage, metrics);
  const health = createHealth({ checks: configuredChecks(settings.health, driver), log });
  readiness.require(health.reason);
  report.addChecks(health.failing);
  const shared = redis !== undefined;
  const ownership = readOnly ? undefined : await own(driver, log, health, shared);
  const { sessions: plainSessions, locks } = createCoordination(redis);
  const sessions = measureSessions(plainSessions, metrics);
  const registry = createRegistry({ driver, sessions, locks, rules: settings.references });
  const measures = measureCollections(metrics);
  const upkeep = readOnly
    ? undefined
    : keepUp({ driver, registry, locks, measures, settings, log });
  const audit = openAuditLog(settings.audit, 'core', log);
  const app = createCoreApp({
    log,
    readiness,
    report,
    verifier: trust?.verifier,
    health,
    guard: guardOf(hops.core, hops),
    audit,
    registry,
    readOnly,
    deleteEnabled: settings.deleteEnabled,
    pageSize: settings.pageSize,
    pullFilter: authHop === undefined ? undefined : createPullFilter(authHop.client),
  });
  const server = await servePrivately(app, {
    listen: hops.core.listen,
    tls,
    headersTimeout: settings.http.headersTimeout,
  });

  return {
    address: server.address,
    async stop() {
      await server.stop(settings.http.drainTimeout);
      trust?.close();
      authHop?.close();
      health.close();
      upkeep?.close();
      await locks.close();
      await sessions.close();
      await redis?.close();
      await ownership?.release();
      await driver.close();
      await audit.close();
    },
    async reload() {
      audit.reopen();
    },
  };
}

/** Keeps cores out that do not agree with us, and clears what was left half written. */
async function own(
  driver: StorageDriver,
  log: Logger,
  health: Health,
  shared: boolean,
): Promise<Ownership> {
  const ownership = await takeOwnership({
    driver,
    log,
    shared,
    onLost(reason) {
      log.error(reason);
      health.fail(reason);
    },
  });
  // Beside others, what is young may be one of theirs.
  await driver.clearLeftovers?.(shared ? leftoverAge : 0);
  return ownership;
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
function keepUp({ driver, registry, locks, measures, settings, log }: UpkeepOptions): {
  close(): void;
} {
  const { uploadPurging, garbage } = settings;
  const duty = createDuty(locks, 'upkeep');
  const purging =
    uploadPurging === undefined
      ? undefined
      : purgeRegularly(registry.uploads, uploadPurging, duty, log);
  const collecting = collectRegularly(driver, garbage, duty, log, measures);
  return {
    close() {
      purging?.close();
      collecting.close();
      duty.release();
    },
  };
}

await runProcess('core', startCore);
