import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { type OpenTrust, openTrust } from '#libs/auth/open-trust.ts';
import { connectForNews, trustChannel } from '#libs/auth/trust-news.ts';
import type { Settings } from '#libs/config/settings.ts';
import type { HopClient } from '#libs/hop/client.ts';
import { measureInstances } from '#libs/hop/measure-instances.ts';
import { openHop } from '#libs/hop/open-hop.ts';
import { createNetworks } from '#libs/http/networks.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import { applyTimeouts, drain, listen, serverOptions } from '#libs/http/serve.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { serveAsUser } from '#libs/process/serving-user.ts';
import { createGatewayApp } from './app.ts';
import { type Authenticator, createAuthenticator } from './authenticate.ts';
import { createTrustedProxies } from './client-address.ts';
import { createHttp2Server } from './http2.ts';
import { createProxy } from './proxy.ts';
import { expectProxyHeader } from './proxy-protocol/expect-header.ts';
import { followTls, loadTls } from './tls.ts';
import { createTokenExchange } from './token-exchange.ts';

/** Milliseconds an idle client connection is kept. */
const keepAlive = 75_000;
/** Milliseconds for a TLS handshake. */
const handshake = 10_000;

/** The edge: TLS, authentication, and the way to auth and core. */
async function startGateway(
  settings: Settings,
  log: Logger,
  readiness: Readiness,
  report: SelfReport,
): Promise<RunningProcess> {
  const { http, auth, hops } = settings;
  const proxies = createTrustedProxies(http.trustedProxies);
  const proxy = createProxy({ prefix: http.prefix, idle: http.idleTimeout });
  const coreHop = await openHop('core', hops, log);
  const authHop = auth === undefined ? undefined : await openHop('auth', hops, log);
  const auths = authHop === undefined ? {} : { auth: authHop.instances };
  measureInstances({ core: coreHop.instances, ...auths }, report.metrics);
  const trust = await openTrust(settings, authHop?.client, log);
  if (trust !== undefined) readiness.require(trust.reason);
  const news =
    authHop === undefined ? undefined : await connectForNews(settings.redis, log, report.metrics);
  news?.subscribe(trustChannel, () => void trust?.refresh());
  const authenticator =
    trust === undefined ? undefined : authenticatorFor(settings, trust, authHop?.client);
  if (authenticator === undefined) {
    log.warn('no auth is configured: everyone who can reach this registry may do everything');
  }

  const app = createGatewayApp({
    log,
    readiness,
    report,
    accessLog: settings.log.access,
    authenticator,
    proxy,
    proxies,
    prefix: http.prefix,
    publicUrl: http.publicUrl,
    headers: http.headers,
    hops: { core: coreHop, auth: authHop },
  });
  const handle = app.callback();
  const server = await createServer(settings, (request, response) => {
    void handle(request, response);
  });
  const tls = http.tls === undefined ? undefined : followTls(server as HttpsServer, http.tls, log);
  applyTimeouts(server, { headers: http.headersTimeout, keepAlive });
  takeProxyProtocol(server, settings, log);
  const shared = settings.workers.gateway > 1;
  const port = await listen(server, http.listen, { shared });
  await serveAsUser(settings, log);

  return {
    address: describeAddress(settings, port),
    async stop() {
      await drain(server, http.drainTimeout);
      tls?.close();
      trust?.close();
      await news?.close();
      authHop?.close();
      coreHop.close();
    },
    async reload() {
      await tls?.reload();
    },
  };
}

function authenticatorFor(
  { auth, foreign, http }: Settings,
  { verifier }: OpenTrust,
  client: HopClient | undefined,
): Authenticator {
  return createAuthenticator({
    verifier,
    exchange: client === undefined ? undefined : createTokenExchange(client),
    service: auth?.service ?? foreign?.service ?? '',
    tokenRealm({ state: { publicUrl } }) {
      if (foreign === undefined) return `${publicUrl}/v2/_token`;
      // Without our prefix, as distribution has it.
      const host = publicUrl.slice(0, publicUrl.length - http.prefix.length);
      return foreign.realm ?? `${host}${foreign.autoredirectPath}`;
    },
    browserRealm: auth?.realm ?? '',
  });
}

async function createServer({ http }: Settings, listener: RequestListener): Promise<Server> {
  const tls = http.tls === undefined ? undefined : await loadTls(http.tls);
  if (tls !== undefined && http.http2) {
    const { headersTimeout, idleTimeout: idle } = http;
    return createHttp2Server({ tls, handshake, headersTimeout, keepAlive, idle }, listener);
  }
  const server =
    tls === undefined
      ? createHttpServer(serverOptions)
      : createHttpsServer({
          ...serverOptions,
          ...tls,
          handshakeTimeout: handshake,
          ALPNProtocols: ['http/1.1'],
        });
  server.on('request', listener);
  // Left alone, Node would ask for the body before anybody looked at the credentials.
  server.on('checkContinue', listener);
  return server;
}

/** @throws Error naming an entry of the setting that is no network */
function takeProxyProtocol(server: Server, { http }: Settings, log: Logger): void {
  const { proxyProtocol: from, headersTimeout: timeout } = http;
  if (from === false) return;
  const isProxy =
    from === true ? () => true : createNetworks(from, 'portcullis.gateway.proxyprotocol');
  expectProxyHeader(server, { isProxy, timeout, log });
}

function describeAddress({ http }: Settings, port: number): string {
  const scheme = http.tls === undefined ? 'http' : 'https';
  if ('socket' in http.listen) return `unix:${http.listen.socket}`;
  const { host = '' } = http.listen;
  const shown = host === '' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${scheme}://${shown.includes(':') ? `[${shown}]` : shown}:${port}${http.prefix}`;
}

await runProcess('gateway', startGateway);
