import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openAuditLog } from '#libs/audit/audit-log.ts';
import { connectForNews, trustChannel } from '#libs/auth/trust-news.ts';
import type { Settings } from '#libs/config/settings.ts';
import { guardOf, loadHopTls } from '#libs/hop/open-hop.ts';
import { servePrivately } from '#libs/http/private-server.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { serveAsUser } from '#libs/process/serving-user.ts';
import { createAuthApp } from './app.ts';
import { openAccounts } from './identities/accounts.ts';
import { countRefusals } from './identities/count-refusals.ts';
import { createIdentities } from './identities/identities.ts';
import { createIdentityTokens } from './identities/identity-tokens.ts';
import { createFirstKey } from './keys/create-key.ts';
import { loadIdentitySecret } from './keys/identity-secret.ts';
import { openKeyRing } from './keys/key-ring.ts';
import { createTemporaryKey, loadKeys, type SigningKey } from './keys/signing-key.ts';
import { createMemoryCounter, createRedisCounter } from './limits/failure-counter.ts';
import { createLoginLimits } from './limits/login-limits.ts';
import { createPolicy } from './policy/create-policy.ts';
import { followPolicy } from './policy/live-policy.ts';
import { openRevocations } from './revocations.ts';
import { stateNames } from './state-files.ts';
import { openWorkloads } from './workloads/workloads.ts';

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
  const tls = await loadHopTls(hops.auth, hops);
  const redis = await connectForNews(settings.redis, log, report.metrics);
  // Readable for root alone, perhaps; what is in the state folder is the user's.
  const firstUsers = await readFile(auth.htpasswd, 'utf8').catch(() => undefined);
  const state = { folder: auth.state, names: stateNames };
  await serveAsUser(settings, log, { state, file: settings.audit?.path });
  const stateFolder = await usableState(auth.state, settings.sockets.folder, log);
  const severalOfUs = settings.redis !== undefined && !hops.auth.isPrivate;
  const firstKeys = await openKeys(stateFolder, severalOfUs, log);
  const secret = await loadIdentitySecret(stateFolder, firstKeys);
  const tellAll = () => redis?.publish(trustChannel, '');
  const { limits } = auth;
  const warn = (message: string) => log.warn(message);
  const policy = followPolicy(createPolicy(auth, warn), settings.configPath, log, tellAll);
  const keys = openKeyRing({
    stateFolder,
    keys: firstKeys,
    ttl: auth.tokenTtl,
    log,
    onChange: tellAll,
  });
  const revocations = await openRevocations({ stateFolder, secret, log, onVoided: tellAll });
  const accounts = await openAccounts(
    { ...auth, state: stateFolder, firstUsers },
    revocations,
    tellAll,
    log,
  );
  redis?.subscribe(trustChannel, () => void Promise.all([accounts.look(), revocations.look()]));
  const workloads = await openWorkloads(auth.workloads, log);
  const counter =
    redis === undefined
      ? createMemoryCounter(limits.window)
      : createRedisCounter(redis, limits.window);
  const identityTokens = createIdentityTokens(secret, auth.issuer, auth.identity.ttl);
  const audit = openAuditLog(settings.audit, 'auth', log);

  const app = createAuthApp({
    log,
    readiness,
    report,
    identities: createIdentities({
      ...accounts,
      workloads,
      limits: createLoginLimits(limits, counter, log),
      identityTokens,
      revocations,
      labelKeys: () => policy.current().labelKeys,
      onRefused: countRefusals(report.metrics),
    }),
    identityTokens,
    identityOnGet: auth.identity.onGet,
    policy: policy.current,
    revocations,
    keys,
    guard: guardOf(hops.auth, hops),
    realm: auth.realm,
    audit,
    issue: {
      signing: keys.signing,
      issuer: auth.issuer,
      services: auth.services,
      ttl: auth.tokenTtl,
    },
  });
  const server = await servePrivately(app, {
    listen: hops.auth.listen,
    tls,
    headersTimeout: settings.http.headersTimeout,
  });

  return {
    address: server.address,
    async stop() {
      await server.stop(settings.http.drainTimeout);
      for (const one of [policy, keys, revocations, workloads]) one.close();
      await accounts.close();
      await audit.close();
      await redis?.close();
    },
    async reload() {
      audit.reopen();
      await Promise.all([policy.reload(), keys.reload(), accounts.reload(), revocations.look()]);
    },
  };
}

/** The state folder, or one of ours where who serves may not enter it. */
async function usableState(state: string, ours: string, log: Logger): Promise<string> {
  try {
    await access(state, constants.R_OK | constants.X_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return state;
    const instead = join(ours, 'state');
    log.warn(
      `portcullis.auth.state: ${state} cannot be entered by who serves; what belongs there is kept in ${instead}, for as long as that lasts`,
    );
    return instead;
  }
  return state;
}

async function openKeys(
  state: string,
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

await runProcess('auth', startAuth);
