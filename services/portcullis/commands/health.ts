import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { takeSettingsOf } from '#libs/config/environment.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { Agent } from '#libs/http/node-http.ts';
import { requestText } from '#libs/http/request-text.ts';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { InternalAddress } from '#libs/internal/address.ts';
import type { InternalListener } from '#libs/internal/settings.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import {
  describeNoneHere,
  describeOthers,
  findRunning,
  findTarget,
  type Target,
} from '../find-configuration.ts';
import { type Place, readPlaces } from '../running-places.ts';
import { configurationOf, type RunningService } from '../running-process.ts';

/** Milliseconds for an answer. */
const timeout = 5000;

export interface HealthOptions {
  /** Undefined: the one that the environment names, else that of what runs in this folder. */
  config: string | undefined;
  /** Only whether it answers. */
  alive: boolean;
}

/**
 * Asks what runs here whether it is ready: of a gateway also the processes that it reaches on this machine. With `alive`,
 * as an image's health check, it asks only whether it answers, and is content where nothing serves and no file is named:
 * a container may run another command, and what is not ready may be so for a reason.
 * @returns the exit code
 */
export async function health({ config, alive }: HealthOptions): Promise<number> {
  const target = await findTarget(config);
  if (target === undefined) {
    if (alive) return 0;
    throw new Error(await describeNoneHere());
  }
  const { running, path } = await processOf(target);
  if (running === undefined && alive && target.namedBy === 'environment') return 0;
  // What is named may have only a core here, or only a token service.
  const service = running?.service ?? 'gateway';
  const places = await placesOf(service, { running, path });
  if (alive) {
    for (const place of places) if (place.service === service) await ask(place, '/healthz');
    process.stdout.write(`${service} answers\n`);
    return 0;
  }
  const answers = await Promise.allSettled(places.map((place) => ask(place, '/readyz')));
  const faults = answers.flatMap((one) => (one.status === 'rejected' ? [one.reason.message] : []));
  if (faults.length > 0) {
    const others = running === undefined ? await describeOthers(path) : undefined;
    throw new Error([...faults, ...(others === undefined ? [] : [others])].join('; '));
  }
  process.stdout.write(`${service} is ready\n`);
  return 0;
}

/**
 * Where a service listens, and those on this machine without which it serves nobody: as its supervisor has noted it, since the
 * file may say something else by now, or else as the configuration has it.
 */
async function placesOf(
  service: ServiceName,
  { running, path }: { running: RunningService | undefined; path: string | undefined },
): Promise<readonly Place[]> {
  const sockets = running?.sockets;
  const noted = sockets === undefined ? undefined : { folder: sockets, config: path };
  const all = noted && (await readPlaces(noted, 'all'));
  if (all !== undefined) {
    const isNeeded = (place: Place) => service === 'gateway' && 'socket' in place.listen;
    return all.filter((place) => place.service === service || isNeeded(place));
  }
  const own = noted && (await readPlaces(noted, service));
  try {
    if (running !== undefined) takeSettingsOf(running.environment);
    const settings = toSettings(await loadConfiguration(path), { sockets });
    const configured = dependencies(service, settings).map((one) => placeIn(settings, one));
    if (own === undefined) return configured;
    return [...configured.filter((place) => place.service !== service), ...own];
  } catch (error) {
    if (own === undefined) throw error;
    return own;
  }
}

function placeIn({ http, internal }: Settings, service: ServiceName): Place {
  if (service === 'gateway') return { service, listen: http.listen, tls: http.tls !== undefined };
  const { listen, isPrivate } = internal[service];
  return { service, listen, tls: internal.tls !== undefined && !isPrivate };
}

/** What runs of a target, if anything does, and its file. */
async function processOf(
  target: Target,
): Promise<{ running: RunningService | undefined; path: string | undefined }> {
  if (target.namedBy !== 'process') {
    return { running: await findRunning(target.path), path: target.path };
  }
  return { running: target.running, path: configurationOf(target.running) };
}

/** The processes on this machine without which it serves nobody, and itself. */
function dependencies(service: ServiceName, { auth, internal }: Settings): ServiceName[] {
  if (service !== 'gateway') return [service];
  const isHere = (addresses: readonly InternalAddress[], { listen }: InternalListener) =>
    'socket' in listen &&
    addresses.some((one) => one.kind === 'unix' && one.socket === listen.socket);
  return [
    ...(auth !== undefined && isHere(internal.auths, internal.auth) ? (['auth'] as const) : []),
    ...(isHere(internal.cores, internal.core) ? (['core'] as const) : []),
    service,
  ];
}

/** @throws Error if it does not answer, or says that it is not well */
async function ask(place: Place, path: string): Promise<void> {
  const { service } = place;
  const { status, body } = await request(place, path).catch((error: unknown) => {
    throw new Error(`${service} does not answer: ${describeSilence(error)}`, { cause: error });
  });
  if (status !== 200) throw new Error(`${service} is not ready: ${reasonIn(body)}`);
}

/** Why nothing answered, in a few words. */
function describeSilence(error: unknown): string {
  const {
    code = '',
    message,
    address,
    port,
  } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (!['ENOENT', 'ECONNREFUSED'].includes(code) || address === undefined) return message;
  return `nothing listens at ${address}${port === undefined ? '' : `:${port}`}`;
}

async function request({ service, listen, tls }: Place, path: string) {
  const attempt = async (header: string) => {
    const agent = new AgentOver(() => open(listen, { tls, header }));
    return await requestText({ target: {}, agent, method: 'GET', path, timeout: timeout });
  };
  if (service !== 'gateway') return await attempt('');
  return await attempt('').catch(async (error: NodeJS.ErrnoException) => {
    if (['ENOENT', 'ECONNREFUSED', 'ABORT_ERR'].includes(error.code ?? '')) throw error;
    // From here we may count as a proxy that says for whom it asks.
    return await attempt('PROXY UNKNOWN\r\n').catch(() => {
      throw error;
    });
  });
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
