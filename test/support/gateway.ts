import { Agent, type Server } from 'node:http';
import type { Verifier } from '#libs/auth/verify.ts';
import { gatewayLimitsSchema } from '#libs/config/sections/gateway.ts';
import { createReadiness, type Readiness } from '#libs/http/readiness.ts';
import { drain, listen } from '#libs/http/serve.ts';
import type { Instance } from '#libs/internal/instance.ts';
import { openUpstream, type Upstream } from '#libs/internal/open-upstream.ts';
import type { InternalSettings } from '#libs/internal/settings.ts';
import { treeIdentity } from '#libs/internal/tree-identity.ts';
import { createGatewayApp } from '../../services/gateway/app.ts';
import { createAuthenticator } from '../../services/gateway/authenticate.ts';
import { createGatewayBudgets, type GatewayBudgets } from '../../services/gateway/budgets.ts';
import { createTrustedProxies } from '../../services/gateway/client-address.ts';
import { createClientConnections } from '../../services/gateway/client-connections.ts';
import { createSharedTree } from '../../services/gateway/files/shared-tree.ts';
import { createTreeFiles } from '../../services/gateway/files/tree-files.ts';
import { createGiveUp, type GiveUp } from '../../services/gateway/give-up.ts';
import { createKeptAnswers } from '../../services/gateway/kept-answers.ts';
import { nameAttempts } from '../../services/gateway/name-attempts.ts';
import { createProxy } from '../../services/gateway/proxy.ts';
import { createGatewayServer, type GatewayServerOptions } from '../../services/gateway/server.ts';
import { createTokenExchange } from '../../services/gateway/token-exchange.ts';
import { createTokenRequests } from '../../services/gateway/token-requests.ts';
import { exchange, type Received, type Sent } from './exchange.ts';
import { createRecordingLog } from './recording-log.ts';
import { type ScriptedPeer, startPeer } from './scripted-peer.ts';
import { waitFor } from './wait-for.ts';

export interface GatewaySetup {
  /** Milliseconds that a token may take. */
  tokenTimeout?: number;
  /** Undefined: an open registry. */
  verifier?: Verifier;
  /** How many cores stand behind it. */
  cores?: number;
  /** How the cores are reached; by Unix sockets unless it says otherwise. */
  by?: 'unix' | 'tcp';
  /** Whether tokens come from a server of others, which alone sees passwords. */
  externalIssuer?: boolean;
  prefix?: string;
  publicUrl?: string;
  trustedProxies?: string[];
  headers?: Record<string, string[]>;
  /** Milliseconds without a byte after which a transfer is given up. */
  idle?: number;
  server?: Partial<GatewayServerOptions>;
  limits?: { connections?: number; requests?: number; downloads?: number };
  /** As if there were a Redis; without it there is none. */
  giveUp?: GiveUp;
  /** Folder of a storage tree that it shares with the cores; none without it. */
  tree?: string;
  /** Path of a Unix socket to listen on instead of a port. */
  socket?: string;
}

/**
 * The gateway in this process, over real HTTP: everything of it is real but what stands behind it, which the
 * test directs.
 */
export interface Gateway {
  port: number;
  server: Server;
  budgets: GatewayBudgets;
  readiness: Readiness;
  /** The first core; the only one unless several were asked for. */
  core: ScriptedPeer;
  cores: readonly ScriptedPeer[];
  auth: ScriptedPeer;
  send(method: string, path: string, sent?: Sent): Promise<Received>;
  /** Messages of everything logged, each behind its level. */
  messages(): string[];
  close(): Promise<void>;
}

/** The secret that requests to the core are signed with. */
const secret = 'a secret of the test, long enough';

export async function startGateway(setup: GatewaySetup = {}): Promise<Gateway> {
  const { by = 'unix', prefix = '', idle = 60_000, trustedProxies = [] } = setup;
  const { log, messages } = createRecordingLog();
  const cores = await Promise.all(
    Array.from({ length: setup.cores ?? 1 }, () => startPeer({ by })),
  );
  const auth = await startPeer({ by });
  const settings = internalSettings(cores, auth);
  const coreUpstream = await openUpstream('core', settings, log);
  const authUpstream: Upstream | undefined =
    setup.verifier === undefined || setup.externalIssuer === true
      ? undefined
      : await openUpstream('auth', settings, log);
  const tokenRequests =
    authUpstream && createTokenRequests(authUpstream.client, setup.tokenTimeout);
  const authenticator =
    setup.verifier === undefined
      ? undefined
      : createAuthenticator({
          verifier: setup.verifier,
          exchange: tokenRequests && createTokenExchange(tokenRequests),
          service: 'registry.test',
          tokenRealm: ({ state }) => `${state.publicUrl}/v2/_token`,
          browserRealm: 'Test',
        });
  const readiness = createReadiness();
  const budgets = createGatewayBudgets(gatewayLimitsSchema.parse(setup.limits ?? {}));
  const connections = createClientConnections(budgets.connections);
  const tree = setup.tree === undefined ? undefined : createSharedTree(setup.tree, 'auto', log);
  if (setup.tree !== undefined && (await treeIdentity(setup.tree)) !== undefined) {
    const near = { target: { socketPath: '/core.sock' } } as unknown as Instance;
    await waitFor('the tree to be known', () => tree?.nameFor(near, 'read') !== undefined);
  }
  const app = createGatewayApp({
    log,
    readiness,
    accessLog: true,
    authenticator,
    proxy: createProxy({ prefix, idle, nameAttempt: nameAttempts(undefined).next }),
    proxies: createTrustedProxies(trustedProxies),
    prefix,
    publicUrl: setup.publicUrl,
    headers: setup.headers ?? {},
    budgets,
    connections,
    upstreams: { core: coreUpstream, auth: authUpstream },
    tokenRequests,
    giveUp: setup.giveUp ?? createGiveUp(undefined),
    tree:
      setup.tree === undefined || tree === undefined
        ? undefined
        : {
            files: createTreeFiles(tree, budgets.downloads),
            answers: createKeptAnswers(setup.tree),
          },
  });
  const handle = app.callback();
  const server = createGatewayServer(
    {
      tls: undefined,
      http2: false,
      headersTimeout: 20_000,
      idleTimeout: idle,
      proxyProtocol: false,
      connections,
      streams: budgets.streams,
      log,
      ...setup.server,
    },
    (request, response) => void handle(request, response),
  );
  const port = await listen(
    server,
    setup.socket === undefined ? { host: '127.0.0.1', port: 0 } : { socket: setup.socket },
  );
  const agent = new Agent({ keepAlive: true });

  return {
    port,
    server,
    budgets,
    readiness,
    core: cores[0] as ScriptedPeer,
    cores,
    auth,
    messages,
    send: (method, path, sent = {}) => exchange({ agent, port, method, path }, sent),
    async close() {
      agent.destroy();
      await drain(server, 0);
      coreUpstream.close();
      authUpstream?.close();
      await Promise.all([...cores, auth].map((peer) => peer.close()));
    },
  };
}

function internalSettings(cores: readonly ScriptedPeer[], auth: ScriptedPeer): InternalSettings {
  const nowhere = { listen: { socket: '/nowhere' }, isPrivate: true };
  return {
    core: nowhere,
    auth: nowhere,
    cores: cores.map(({ address }) => address),
    auths: [auth.address],
    secret,
    tls: undefined,
    authorities: [],
  };
}
