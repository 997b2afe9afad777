import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openAuditLog } from '#libs/audit/audit-log.ts';
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
  const severalOfUs = settings.redis !== undefined && !hops.auth.isPrivate;
  const firstKeys = await openKeys(auth, severalOfUs, log);
  const secret = await loadIdentitySecret(auth.state, firstKeys);
  const redis = await connectForNews(settings.redis, log, report.metrics);
  const tellAll = () => redis?.publish(trustChannel, '');
  const { state: stateFolder, limits } = auth;
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
  const accounts = await openAccounts(auth, revocations, tellAll, log);
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
  const files = ['revoked.yml', 'voided.yml', 'robots.yml', 'robots-used.yml', 'keys'];
  return [...files, ...keys.map((name) => join('keys', name))];
}

await runProcess('auth', startAuth);
