import { followTrust } from '#libs/auth/remote-trust.ts';
import { createVerifier } from '#libs/auth/verify.ts';
import type { Settings } from '#libs/config/settings.ts';
import { servePrivately } from '#libs/http/private-server.ts';
import { drain } from '#libs/http/serve.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { createCoreApp } from './app.ts';
import { createCatalogFilter } from './auth-client.ts';
import { createHealth } from './health.ts';
import { takeOwnership } from './owner.ts';
import { createRegistry } from './registry/registry.ts';
import { createSessionStore } from './sessions/create-session-store.ts';
import { createDriver } from './storage/create-driver.ts';

/** The storage core: the V2 API over one storage tree, on a Unix socket. */
async function startCore(settings: Settings, log: Logger): Promise<RunningProcess> {
  const { sockets, auth } = settings;
  const driver = await createDriver(settings.storage);
  const health = createHealth({ driver, log, storage: settings.health });
  const ownership = await takeOwnership({
    driver,
    log,
    onLost(reason) {
      log.error(reason);
      health.fail(reason);
    },
  });
  await driver.clearLeftovers?.();
  const sessions = createSessionStore();
  const trust = auth === undefined ? undefined : followTrust(sockets.auth, log);
  const catalogFilter = auth === undefined ? undefined : createCatalogFilter(sockets.auth);
  const verifier =
    auth === undefined || trust === undefined
      ? undefined
      : createVerifier({ keys: trust.keys, issuer: auth.issuer, audience: auth.service });

  const app = createCoreApp({
    log,
    verifier,
    health,
    privateHop: true,
    registry: createRegistry(driver, sessions),
    deleteEnabled: settings.deleteEnabled,
    pageSize: settings.pageSize,
    catalogFilter,
  });
  const server = await servePrivately(app, sockets.core, settings.http.headersTimeout);

  return {
    address: sockets.core,
    async stop() {
      await drain(server, settings.http.drainTimeout);
      trust?.close();
      catalogFilter?.close();
      health.close();
      await sessions.close();
      await ownership.release();
      await driver.close();
    },
  };
}

await runProcess('core', startCore);
