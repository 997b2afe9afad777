import { followTrust } from '#libs/auth/remote-trust.ts';
import { createVerifier } from '#libs/auth/verify.ts';
import type { Settings } from '#libs/config/settings.ts';
import { servePrivately } from '#libs/http/private-server.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import { drain } from '#libs/http/serve.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { createCoreApp } from './app.ts';
import { createPullFilter } from './auth-client.ts';
import { collectRegularly } from './collect-regularly.ts';
import { configuredChecks } from './health/checks.ts';
import { createHealth, type Health } from './health/health.ts';
import { measureCollections } from './measure-collections.ts';
import { measureDisk } from './measure-disk.ts';
import { type Ownership, takeOwnership } from './owner.ts';
import { purgeRegularly } from './purge-regularly.ts';
import { createRegistry } from './registry/registry.ts';
import { createCoordination } from './sessions/create-coordination.ts';
import { measureSessions } from './sessions/measured.ts';
import { createDriver } from './storage/create-driver.ts';
import type { StorageDriver } from './storage/driver.ts';
import { measureStorage } from './storage/measured.ts';

/** The storage core: the V2 API over one storage tree, on a Unix socket. */
async function startCore(
  settings: Settings,
  log: Logger,
  readiness: Readiness,
  report: SelfReport,
): Promise<RunningProcess> {
  const { sockets, auth } = settings;
  const driver = measureStorage(await createDriver(settings), report.metrics);
  measureDisk(settings.storage, report.metrics);
  const health = createHealth({ checks: configuredChecks(settings.health, driver), log });
  readiness.require(health.reason);
  report.addChecks(health.failing);
  const ownership = settings.readOnly ? undefined : await own(driver, log, health);
  const { sessions: plainSessions, locks } = createCoordination();
  const sessions = measureSessions(plainSessions, report.metrics);
  const registry = createRegistry({ driver, sessions, locks, rules: settings.references });
  const purging =
    settings.readOnly || settings.uploadPurging === undefined
      ? undefined
      : purgeRegularly(registry.uploads, settings.uploadPurging, log);
  const collecting = settings.readOnly
    ? undefined
    : collectRegularly(driver, settings.garbage, log, measureCollections(report.metrics));
  const trust = auth === undefined ? undefined : followTrust(sockets.auth, log);
  const pullFilter = auth === undefined ? undefined : createPullFilter(sockets.auth);
  const verifier =
    auth === undefined || trust === undefined
      ? undefined
      : createVerifier({ keys: trust.keys, issuer: auth.issuer, audience: auth.service });

  const app = createCoreApp({
    log,
    readiness,
    report,
    verifier,
    health,
    privateHop: true,
    registry,
    readOnly: settings.readOnly,
    deleteEnabled: settings.deleteEnabled,
    pageSize: settings.pageSize,
    pullFilter,
  });
  const server = await servePrivately(app, sockets.core, settings.http.headersTimeout);

  return {
    address: sockets.core,
    async stop() {
      await drain(server, settings.http.drainTimeout);
      trust?.close();
      pullFilter?.close();
      health.close();
      purging?.close();
      collecting?.close();
      await sessions.close();
      await ownership?.release();
      await driver.close();
    },
  };
}

/** Makes the tree ours alone, and clears what the last owner left half written. */
async function own(driver: StorageDriver, log: Logger, health: Health): Promise<Ownership> {
  const ownership = await takeOwnership({
    driver,
    log,
    onLost(reason) {
      log.error(reason);
      health.fail(reason);
    },
  });
  await driver.clearLeftovers?.();
  return ownership;
}

await runProcess('core', startCore);
