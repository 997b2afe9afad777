import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connectForNews, trustChannel } from '#libs/auth/trust-news.ts';
import type { AuthSettings, Settings } from '#libs/config/settings.ts';
import { guardOf, loadHopTls } from '#libs/hop/open-hop.ts';
import { servePrivately } from '#libs/http/private-server.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { serveAsUser } from '#libs/process/serving-user.ts';
import { createAuthApp } from './app.ts';
import { createFirstKey } from './keys/create-key.ts';
import { loadIdentitySecret } from './keys/identity-secret.ts';
import { openKeyRing } from './keys/key-ring.ts';
import { createTemporaryKey, loadKeys, type SigningKey } from './keys/signing-key.ts';
import { createPolicy } from './policy/create-policy.ts';
import { openRevocations } from './revocations.ts';
import { openHtpasswd } from './users/htpasswd-users.ts';
import { measureUsers } from './users/measured-users.ts';

/** The token service, for our gateways and cores. */
async function startAuth(
  settings: Settings,
  log: Logger,
  readiness: Readiness,
  report: SelfReport,
): Promise<RunningProcess> {
  const { auth, hops } = settings;
  if (auth === undefined) {
    throw new Error('the configuration has no auth.htpasswd, so there is nothing to log in to');
  }
  const policy = createPolicy(auth, (message) => log.warn(message));
  const severalOfUs = settings.redis !== undefined && !hops.auth.isPrivate;
  const firstKeys = await openKeys(auth, severalOfUs, log);
  const secret = await loadIdentitySecret(auth.state, firstKeys);
  const news = await connectForNews(settings.redis, log, report.metrics);
  const tellAll = () => news?.publish(trustChannel, '');
  const keys = openKeyRing({
    stateFolder: auth.state,
    keys: firstKeys,
    ttl: auth.tokenTtl,
    log,
    onChange: tellAll,
  });
  const revocations = await openRevocations({ stateFolder: auth.state, secret, log });
  const users = await openHtpasswd({
    path: auth.htpasswd,
    log,
    async onChange(accounts) {
      // Only what is new is worth telling: the others look at their own files when they hear of it.
      if (await revocations.follow(accounts)) tellAll();
    },
  });
  news?.subscribe(trustChannel, () => void users.look());
  if (users.accounts().size === 0) log.warn({ file: auth.htpasswd }, 'no user can log in');

  const app = createAuthApp({
    log,
    readiness,
    report,
    users: measureUsers(users, report.metrics),
    policy,
    revocations,
    keys,
    guard: guardOf(hops.auth, hops),
    realm: auth.realm,
    issue: {
      signing: keys.signing,
      issuer: auth.issuer,
      services: auth.services,
      ttl: auth.tokenTtl,
    },
  });
  const tls = await loadHopTls(hops.auth, hops);
  const names = await namesInState(auth.state);
  await serveAsUser(settings, log, { folder: auth.state, names });
  const server = await servePrivately(app, {
    listen: hops.auth.listen,
    tls,
    headersTimeout: settings.http.headersTimeout,
  });

  return {
    address: server.address,
    async stop() {
      await server.stop(settings.http.drainTimeout);
      keys.close();
      await users.close();
      await news?.close();
    },
    async reload() {
      await Promise.all([users.reload(), keys.reload()]);
    },
  };
}

async function openKeys(
  { state }: AuthSettings,
  severalOfUs: boolean,
  log: Logger,
): Promise<[SigningKey, ...SigningKey[]]> {
  let keys = await loadKeys(state);
  if (keys.length === 0 && severalOfUs) {
    throw new Error(
      `portcullis.auth.state: ${state} holds no signing key, and several token services must have the same; make it once with: portcullis keys create ${state}`,
    );
  }
  if (keys.length === 0) {
    try {
      log.info({ path: await createFirstKey(state) }, 'a signing key was made');
      keys = await loadKeys(state);
    } catch (error) {
      const { message } = error as Error;
      log.warn(`${message}; until then tokens end with this process, and clients ask for new ones`);
      keys = [await createTemporaryKey()];
    }
  }
  const [first, ...others] = keys;
  if (first === undefined) throw new Error(`there is no signing key in ${state}`);
  return [first, ...others];
}

/** What we made in the state folder, as far as it is there. */
async function namesInState(state: string): Promise<string[]> {
  const keys = await readdir(join(state, 'keys')).catch(() => []);
  return ['revoked.yml', 'keys', ...keys.map((name) => join('keys', name))];
}

await runProcess('auth', startAuth);
