import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { followTrust } from '#libs/auth/remote-trust.ts';
import { createVerifier } from '#libs/auth/verify.ts';
import type { Settings } from '#libs/config/settings.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import { applyTimeouts, drain, listen, serverOptions } from '#libs/http/serve.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type RunningProcess, runProcess } from '#libs/process/run-process.ts';
import { createGatewayApp } from './app.ts';
import { createAuthenticator } from './authenticate.ts';
import { createTrustedProxies } from './client-address.ts';
import { createHttp2Server } from './http2.ts';
import { createProxy } from './proxy.ts';
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
  const { http, auth, sockets } = settings;
  const proxies = createTrustedProxies(http.trustedProxies);
  const proxy = createProxy({ prefix: http.prefix, idle: http.idleTimeout });
  const trust = auth === undefined ? undefined : followTrust(sockets.auth, log);
  const exchange = auth === undefined ? undefined : createTokenExchange(sockets.auth);
  const authenticator =
    auth === undefined || trust === undefined || exchange === undefined
      ? undefined
      : createAuthenticator({
          verifier: createVerifier({
            keys: trust.keys,
            issuer: auth.issuer,
            audience: auth.service,
          }),
          exchange,
          service: auth.service,
          realm: auth.realm,
        });
  if (auth === undefined) {
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
    sockets,
  });
  const handle = app.callback();
  const server = await createServer(settings, (request, response) => {
    void handle(request, response);
  });
  const tls = http.tls === undefined ? undefined : followTls(server as HttpsServer, http.tls, log);
  applyTimeouts(server, { headers: http.headersTimeout, keepAlive });
  const port = await listen(server, http.listen);

  return {
    address: describeAddress(settings, port),
    async stop() {
      await drain(server, http.drainTimeout);
      tls?.close();
      trust?.close();
      exchange?.close();
      proxy.close();
    },
    async reload() {
      await tls?.reload();
    },
  };
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

function describeAddress({ http }: Settings, port: number): string {
  const scheme = http.tls === undefined ? 'http' : 'https';
  if ('socket' in http.listen) return `unix:${http.listen.socket}`;
  const { host = '' } = http.listen;
  const shown = host === '' || host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${scheme}://${shown.includes(':') ? `[${shown}]` : shown}:${port}${http.prefix}`;
}

await runProcess('gateway', startGateway);
