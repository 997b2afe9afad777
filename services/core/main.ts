import { createServer } from 'node:http';
import { followTrust } from '#libs/auth/remote-trust.ts';
import { createVerifier } from '#libs/auth/verify.ts';
import type { Settings } from '#libs/config/settings.ts';
import { applyTimeouts, drain, listen, serverOptions } from '#libs/http/serve.ts';
import type { Logger } from '#libs/log/logger.ts';
import { ensurePrivateFolder } from '#libs/process/private-folder.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { createCoreApp } from './app.ts';
import { createCatalogFilter } from './auth-client.ts';
import { createHealth } from './health.ts';
import { takeOwnership } from './owner.ts';
import { createRegistry } from './registry/registry.ts';
import { createSessionStore } from './sessions/create-session-store.ts';
import { createDriver } from './storage/create-driver.ts';

/** Longer than the gateway's agent keeps a connection, so that no request meets a closing one. */
const keepAlive = 75_000;

/** The storage core: the V2 API over one storage tree, on a Unix socket. */
async function startCore(settings: Settings, log: Logger): Promise<RunningProcess> {
  const { sockets, auth } = settings;
  await ensurePrivateFolder(sockets.folder);
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
  const handle = app.callback();
  const server = createServer(serverOptions, (request, response) => {
    void handle(request, response);
  });
  applyTimeouts(server, { headers: settings.http.headersTimeout, keepAlive });
  await listen(server, { socket: sockets.core });

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
