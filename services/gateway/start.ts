import type { Server as HttpsServer } from 'node:https';
import { join } from 'node:path';
import { type AuditLog, assertAuditLog, openAuditLog } from '#libs/audit/audit-log.ts';
import { createRefusalRecord, type RefusalRecord } from '#libs/audit/refusal-record.ts';
import {
  connectInvalidationChannel,
  invalidationChannel,
} from '#libs/auth/invalidation-channel.ts';
import { openTokenVerifier, type TokenVerifier } from '#libs/auth/open-token-verifier.ts';
import type { Settings } from '#libs/config/settings.ts';
import { drain, listen } from '#libs/http/serve.ts';
import { measureInstances } from '#libs/internal/measure-instances.ts';
import { openUpstream } from '#libs/internal/open-upstream.ts';
import type { Budget } from '#libs/limits/budget.ts';
import { measureBudgets } from '#libs/limits/measure-budgets.ts';
import type { Logger } from '#libs/log/logger.ts';
import { assertNoLinkOfOthers } from '#libs/process/controlling-user.ts';
import { dropPrivileges } from '#libs/process/drop-privileges.ts';
import { type ProcessContext, type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import { createGatewayApp, type StorageAccess } from './app.ts';
import { type Authenticator, createAuthenticator } from './authenticate.ts';
import { createGatewayBudgets } from './budgets.ts';
import { createTrustedProxies } from './client-address.ts';
import { createClientConnections } from './client-connections.ts';
import { createSharedTree } from './files/shared-tree.ts';
import { createTreeFiles } from './files/tree-files.ts';
import { createGiveUp } from './give-up.ts';
import { createKeptAnswers } from './kept-answers.ts';
import { nameAttempts } from './name-attempts.ts';
import { createProxy } from './proxy.ts';
import { createGatewayServer } from './server.ts';
import { followTls, loadCertificate } from './tls.ts';
import { createTokenExchange } from './token-exchange.ts';
import { createTokenRequests, type TokenRequests } from './token-requests.ts';

/** The edge: TLS, authentication, and the way to auth and core. */
async function startGateway({
  settings,
  log,
  readiness,
  processStatus,
  isRestart,
}: ProcessContext): Promise<RunningProcess> {
  const { http, gateway, auth, internal } = settings;
  const proxies = createTrustedProxies(gateway.trustedProxies);
  const coreUpstream = await openUpstream('core', internal, log);
  const authUpstream = auth === undefined ? undefined : await openUpstream('auth', internal, log);
  const auths = authUpstream === undefined ? {} : { auth: authUpstream.instances };
  measureInstances({ core: coreUpstream.instances, ...auths }, processStatus.metrics);
  const tokenVerifier = await openTokenVerifier(settings, authUpstream?.client, log);
  if (tokenVerifier !== undefined) readiness.require(tokenVerifier.reason);
  const redis = await connectInvalidationChannel(settings.redis, log, processStatus.metrics);
  const attempts = nameAttempts(redis);
  const proxy = createProxy({
    prefix: http.prefix,
    idle: gateway.idleTimeout,
    nameAttempt: attempts.next,
  });
  if (authUpstream !== undefined)
    redis?.subscribe(invalidationChannel, () => void tokenVerifier?.refresh());
  const tokenRequests = authUpstream && createTokenRequests(authUpstream.client);
  let audit: AuditLog | undefined;
  const refusals = createRefusalRecord(() => audit, log);
  const authenticator =
    tokenVerifier === undefined
      ? undefined
      : authenticatorFor(settings, tokenVerifier, tokenRequests, refusals);
  if (authenticator === undefined) {
    log.warn('no auth is configured: everyone who can reach this registry may do everything');
  }

  const budgets = createGatewayBudgets(settings.gateway.limits);
  measureBudgets(Object.values(budgets), processStatus.metrics);
  const connections = createClientConnections(budgets.connections);
  const app = createGatewayApp({
    log,
    readiness,
    processStatus,
    accessLog: settings.log.access,
    authenticator,
    proxy,
    proxies,
    prefix: http.prefix,
    publicUrl: http.publicUrl,
    headers: http.headers,
    budgets,
    connections,
    upstreams: { core: coreUpstream, auth: authUpstream },
    tokenRequests,
    giveUp: createGiveUp(redis),
    tree: storageAccessOf(settings, budgets.downloads, log),
  });
  const handle = app.callback();
  const tlsOptions = http.tls === undefined ? undefined : await loadCertificate(http.tls, log);
  const server = createGatewayServer(
    { ...http, ...gateway, tls: tlsOptions, connections, streams: budgets.streams, log },
    (request, response) => void handle(request, response),
  );
  const tls = http.tls === undefined ? undefined : followTls(server as HttpsServer, http.tls, log);
  const shared = settings.workers.gateway > 1;
  if ('socket' in http.listen) await assertNoLinkOfOthers(http.listen.socket, 'http.addr');
  const port = await listen(server, http.listen, { shared });
  await dropPrivileges(settings, log, { file: settings.audit?.path });
  if (!isRestart) assertAuditLog(settings.audit);
  audit = openAuditLog(settings.audit, 'gateway', log);

  return {
    address: describeAddress(settings, port),
    async stop() {
      await drain(server, http.drainTimeout);
      refusals.close();
      await audit?.close();
      tls?.close();
      tokenVerifier?.close();
      attempts.close();
      await redis?.close();
      authUpstream?.close();
      coreUpstream.close();
    },
    async reload() {
      audit?.reopen();
      await tls?.reload();
    },
  };
}

/** The storage tree, if we are to look at it. */
function storageAccessOf(
  { gateway: { offload }, storage }: Settings,
  downloads: Budget,
  log: Logger,
): StorageAccess | undefined {
  if (offload === 'off' || storage.driver !== 'filesystem') return undefined;
  const folder = join(storage.root, treeFolder);
  const tree = createSharedTree(folder, offload, log);
  return { files: createTreeFiles(tree, downloads), answers: createKeptAnswers(folder) };
}

function authenticatorFor(
  { auth, externalIssuer, http }: Settings,
  { verifier }: TokenVerifier,
  tokenRequests: TokenRequests | undefined,
  refusals: RefusalRecord,
): Authenticator {
  return createAuthenticator({
    verifier,
    refusals,
    exchange: tokenRequests && createTokenExchange(tokenRequests),
    service: auth?.service ?? externalIssuer?.service ?? '',
    tokenRealm({ state: { publicUrl } }) {
      if (externalIssuer === undefined) return `${publicUrl}/v2/_token`;
      // Without our prefix, as distribution has it.
      const host = publicUrl.slice(0, publicUrl.length - http.prefix.length);
      return externalIssuer.realm ?? `${host}${externalIssuer.autoredirectPath}`;
    },
    browserRealm: auth?.realm ?? '',
  });
}

function describeAddress({ http }: Settings, port: number): string {
  const scheme = http.tls === undefined ? 'http' : 'https';
  if ('socket' in http.listen) return `unix:${http.listen.socket}`;
  const { host = '' } = http.listen;
  const shown = host === '' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${scheme}://${shown.includes(':') ? `[${shown}]` : shown}:${port}${http.prefix}`;
}

await runProcess('gateway', startGateway);
