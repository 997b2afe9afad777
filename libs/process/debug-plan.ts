import type { DebugSettings } from '#libs/config/sections/debug.ts';
import type { SocketPaths } from '#libs/config/sections/socket-paths.ts';
import type { Peer } from '#libs/http/aggregate-status.ts';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { InternalListener } from '#libs/internal/settings.ts';
import type { ServiceName } from '../values/service-name.ts';
import { workerName } from '../values/worker-name.ts';

/** Where a process tells how it is, and of whom. */
export interface DebugPlan {
  /** Undefined: it has no debug server. */
  address: ListenAddress | undefined;
  /** The setting by which this process gets another address. */
  setting: string;
  /** Whether it measures, for its own debug server or for the one that speaks for it. */
  measures: boolean;
  peers: Peer[];
}

/** What the configuration says of the processes. */
interface PlanOptions {
  debug: DebugSettings;
  /** Our own token service, if there is one. */
  auth: object | undefined;
  sockets: SocketPaths;
  internal: Readonly<Record<'auth' | 'core', InternalListener>>;
}

/**
 * Of several processes with one configuration, under one supervisor, the gateway takes `http.debug.addr` and
 * speaks for those that have no address of their own and serve on this machine only. A process that runs
 * alone takes it itself. Where a service has several workers, each has the port behind that of the one before.
 * @param process one of those of its service, counted from 1
 */
export function planDebug(
  { service, worker }: { service: ServiceName; worker: number },
  { debug, auth, sockets, internal }: PlanOptions,
  supervised: boolean,
): DebugPlan {
  const { shared, own, metricsPath } = debug;
  const isGateway = service === 'gateway';
  const first =
    (isGateway ? undefined : own[service]) ?? (isGateway || !supervised ? shared : undefined);
  const address = first === undefined ? undefined : { ...first, port: first.port + worker - 1 };
  const speaks = isGateway && worker === 1 && supervised && address !== undefined;
  const others: (Peer & { service: 'auth' | 'core' })[] = [
    ...(auth === undefined
      ? []
      : [{ service: 'auth' as const, process: 'auth', socketPath: sockets.auth }]),
    ...sockets.cores.map((socketPath, index) => ({
      service: 'core' as const,
      process: workerName('core', index + 1),
      socketPath,
    })),
  ];
  return {
    address,
    setting: isGateway ? 'http.debug.addr' : `portcullis.${service}.debug`,
    measures: metricsPath !== undefined && (address ?? shared) !== undefined,
    peers: others
      .filter(
        (peer) => speaks && own[peer.service] === undefined && internal[peer.service].isPrivate,
      )
      .map(({ process, socketPath }) => ({ process, socketPath })),
  };
}
