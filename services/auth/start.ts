import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assertAuditLog, openAuditLog } from '#libs/audit/audit-log.ts';
import {
  connectInvalidationChannel,
  invalidationChannel,
} from '#libs/auth/invalidation-channel.ts';
import { howToMakeWritable } from '#libs/files/make-writable.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { loadInternalTls, peerCheckOf } from '#libs/internal/listener.ts';
import { measureBudgets } from '#libs/limits/measure-budgets.ts';
import type { Logger } from '#libs/log/logger.ts';
import { createPolicy } from '#libs/policy/create-policy.ts';
import { dropPrivileges } from '#libs/process/drop-privileges.ts';
import { servePrivately } from '#libs/process/private-server.ts';
import { type ProcessContext, type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { tellSupervisor } from '#libs/process/supervisor-channel.ts';
import { createTokenRecord } from './api/token-record.ts';
import { createAuthApp } from './app.ts';
import { createAuthBudgets } from './budgets.ts';
import { type AccountStores, openAccounts } from './identities/accounts.ts';
import { createIdentities } from './identities/identities.ts';
import { createIdentityTokens } from './identities/identity-tokens.ts';
import { createFirstKey } from './keys/create-key.ts';
import { loadIdentitySecret } from './keys/identity-secret.ts';
import { openKeyRing } from './keys/key-ring.ts';
import { assertOwnKeys, isStateShared } from './keys/own-keys.ts';
import { createTemporaryKey, loadKeys, type SigningKey } from './keys/signing-key.ts';
import { openKnownLogins } from './limits/known-logins.ts';
import { createLoginLimits } from './limits/login-limits.ts';
import { createMemoryCounter } from './limits/memory-counter.ts';
import { createRedisCounter } from './limits/redis-counter.ts';
import { measureLogins } from './measure-logins.ts';
import { followPolicy } from './policy/live-policy.ts';
import { openRevocations } from './revocations.ts';
import { stateFiles, stateNames } from './state-files.ts';
import { openSecretHistory } from './users/secret-history.ts';
import { openWorkloads } from './workloads/workloads.ts';

/** The token service, for our gateways and cores. */
async function startAuth({
  settings,
  log,
  readiness,
  processStatus,
  isRestart,
}: ProcessContext): Promise<RunningProcess> {
  const { auth, internal } = settings;
  if (auth === undefined) {
    throw new Error('the configuration has no auth.htpasswd, so there is nothing to log in to');
  }
  const tls = await loadInternalTls(internal.auth, internal);
  const redis = await connectInvalidationChannel(settings.redis, log, processStatus.metrics);
  // Readable for root alone, perhaps; what is in the state folder is the user's.
  const firstUsers = await readIfPresent(auth.htpasswd).catch(() => undefined);
  const state = { folder: auth.state, names: stateNames };
  await dropPrivileges(settings, log, { state, file: settings.audit?.path });
  if (!isRestart) assertAuditLog(settings.audit);
  const stateFolder = await usableState(auth.state, settings.sockets.folder, log);
  const firstKeys = await openKeys(stateFolder, isStateShared(settings), log);
  const secret = await loadIdentitySecret(stateFolder, firstKeys);
  const tellAll = () => redis?.publish(invalidationChannel, '');
  const warn = (message: string) => log.warn(message);
  let { users } = auth;
  let opened: AccountStores | undefined;
  const policy = followPolicy(createPolicy(auth, warn), settings.configPath, log, {
    onRules: tellAll,
    async onUsers(configured) {
      users = configured;
      await opened?.users.configure(users);
    },
    onRead: (access) => tellSupervisor({ type: 'access', access }),
  });
  if (isRestart) await policy.reload();
  const keys = openKeyRing({
    stateFolder,
    keys: firstKeys,
    ttl: auth.tokenTtl,
    log,
    onChange: tellAll,
  });
  const audit = openAuditLog(settings.audit, 'auth', log);
  const record = createTokenRecord(audit, log);
  const measures = measureLogins(processStatus.metrics);
  const history = await openSecretHistory(stateFiles.rehashed(stateFolder), secret);
  const revocations = await openRevocations({
    stateFolder,
    history,
    log,
    onVoided: tellAll,
    onAccountChange: ({ what, ...change }) =>
      audit.write(what === 'tokens revoked' ? 'revoked' : 'account', { ...change, what }),
  });
  const rehash = auth.rehash === 'off' ? undefined : { mode: auth.rehash, history };
  const accounts = await openAccounts(
    { ...auth, users, state: stateFolder, firstUsers, rehash, onComparison: measures.comparison },
    revocations,
    tellAll,
    log,
  );
  opened = accounts;
  redis?.subscribe(
    invalidationChannel,
    () => void Promise.all([accounts.refresh(), revocations.refresh()]),
  );
  const workloads = await openWorkloads(auth.workloads, log);
  const { window } = auth.limits;
  const path = stateFiles.knownLogins(stateFolder);
  const known = openKnownLogins({ path, secret, redis, log });
  const limits = createLoginLimits({
    settings: auth.limits,
    counter: redis === undefined ? createMemoryCounter(window) : createRedisCounter(redis, window),
    requests: createMemoryCounter(window),
    known,
    onLimited(limited) {
      measures.limited(limited);
      record.limited(limited);
    },
  });
  const identityTokens = createIdentityTokens(secret, auth.issuer, auth.identity.ttl, history);

  const budgets = createAuthBudgets();
  measureBudgets(Object.values(budgets), processStatus.metrics);
  const app = createAuthApp({
    log,
    readiness,
    processStatus,
    identities: createIdentities({
      ...accounts,
      workloads,
      limits,
      identityTokens,
      history,
      revocations,
      labelKeys: () => policy.current().labelKeys,
      onRefused: measures.refused,
    }),
    robots: accounts.robots,
    identityTokens,
    limits,
    identityOnGet: auth.identity.onGet,
    policy: policy.current,
    revocations,
    keys,
    checkPeer: peerCheckOf(internal.auth, internal),
    realm: auth.realm,
    record,
    budgets,
    issue: {
      signing: keys.signing,
      issuer: auth.issuer,
      services: auth.services,
      ttl: auth.tokenTtl,
    },
  });
  const server = await servePrivately(app.callback(), {
    listen: internal.auth.listen,
    tls,
    headersTimeout: settings.gateway.headersTimeout,
    setting: 'portcullis.auth.listen',
  });

  return {
    address: server.address,
    async stop() {
      await server.stop(settings.http.drainTimeout);
      for (const one of [policy, keys, revocations, workloads]) one.close();
      await accounts.close();
      await known.close();
      record.close();
      await audit.close();
      await redis?.close();
    },
    async reload() {
      audit.reopen();
      await Promise.all([policy.reload(), keys.reload(), accounts.reload(), revocations.refresh()]);
    },
  };
}

/**
 * The state folder, or one of ours where who serves may not know whether it is there, as a user of a container.
 * @throws Error if it is there and not ours: keys, robots and revocations would be others all of a sudden
 */
async function usableState(state: string, ours: string, log: Logger): Promise<string> {
  try {
    await access(state, constants.R_OK | constants.X_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return state;
    if ((await stat(state).catch(() => undefined)) !== undefined) {
      throw new Error(
        `portcullis.auth.state: ${state} may not be read by this user; ${howToMakeWritable(state, { isThere: true })}`,
      );
    }
    const instead = join(ours, 'state');
    log.warn(
      `portcullis.auth.state: ${state} is not accessible to the user that serves; using ${instead}, which is lost with the container or at a reboot`,
    );
    return instead;
  }
  return state;
}

async function openKeys(
  state: string,
  isShared: boolean,
  log: Logger,
): Promise<[SigningKey, ...SigningKey[]]> {
  let keys = await loadKeys(state);
  if (keys.length === 0) {
    assertOwnKeys(state, { isShared });
    try {
      log.info({ path: await createFirstKey(state) }, 'signing key created');
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
