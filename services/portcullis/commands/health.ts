import { Agent } from 'node:http';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { call } from '#libs/http/call.ts';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { ServiceName } from '#libs/process/service-name.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';
import { findRunning } from '../running-process.ts';

/** Milliseconds for an answer. */
const patience = 5000;

/**
 * `health [CONFIG]`: asks what runs here whether it is ready, as a container's health check. Without an
 * argument it finds out what runs, and with which configuration.
 */
export const health: Command = async (args) => {
  const [config, ...more] = args;
  if (more.length > 0 || config?.startsWith('-')) {
    throw new UsageError('usage: portcullis health [CONFIG]');
  }
  const running =
    config === undefined ? await findRunning() : { service: 'gateway' as const, config };
  if (running === undefined) throw new Error('nothing of Portcullis runs here');
  const { service } = running;
  const settings = toSettings(await loadConfiguration(running.config));
  const { status, body } = await askReadiness(service, settings).catch((error: unknown) => {
    throw new Error(`${service} does not answer: ${(error as Error).message}`, { cause: error });
  });
  if (status !== 200) throw new Error(`${service} is not ready: ${reasonIn(body)}`);
  process.stdout.write(`${service} is ready\n`);
  return 0;
};

async function askReadiness(service: ServiceName, settings: Settings) {
  const { http, hops } = settings;
  const gateway = service === 'gateway';
  const address = gateway ? http.listen : hops[service].listen;
  const tls = gateway ? http.tls !== undefined : hops.tls !== undefined && !hops[service].isPrivate;
  const ask = async (header: string) => {
    const agent = new AgentOver(() => open(address, { tls, header }));
    return await call({ target: {}, agent, method: 'GET', path: '/readyz', timeout: patience });
  };
  if (!gateway || http.proxyProtocol === false) return await ask('');
  // From here we may count as a proxy or not.
  return await ask('').catch(async () => await ask('PROXY UNKNOWN\r\n'));
}

/** Speaks HTTP over connections that are opened for it. */
class AgentOver extends Agent {
  readonly #open: () => Socket;

  constructor(connectionOf: () => Socket) {
    super();
    this.#open = connectionOf;
  }

  override createConnection(): Socket {
    return this.#open();
  }
}

/** @param header what a connection begins with, before TLS */
function open(address: ListenAddress, { tls, header }: { tls: boolean; header: string }): Socket {
  const socket = connect(reachable(address));
  if (header !== '') socket.write(header);
  // It is our own certificate, for the names by which others call us.
  return tls ? connectTls({ socket, rejectUnauthorized: false }) : socket;
}

function reachable(address: ListenAddress): NetConnectOpts {
  if ('socket' in address) return { path: address.socket };
  const { host = '', port } = address;
  const any = host === '' || host === '0.0.0.0' || host === '::';
  return { host: any ? 'localhost' : host, port };
}

function reasonIn(body: string): string {
  try {
    return String((JSON.parse(body) as { status?: unknown }).status);
  } catch {
    return body;
  }
}
