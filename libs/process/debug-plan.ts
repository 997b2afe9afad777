import type { Settings } from '#libs/config/settings.ts';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { Peer } from '#libs/http/whole-report.ts';

export type ProcessName = 'gateway' | 'auth' | 'core';

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

/**
 * Of several processes with one configuration, under one supervisor, the gateway takes `http.debug.addr` and
 * speaks for those that have no address of their own. A process that runs alone takes it itself.
 */
export function planDebug(
  name: ProcessName,
  { debug, auth, sockets }: Pick<Settings, 'debug' | 'auth' | 'sockets'>,
  supervised: boolean,
): DebugPlan {
  const { shared, own, metricsPath } = debug;
  const isFirst = name === 'gateway';
  const address =
    (isFirst ? undefined : own[name]) ?? (isFirst || !supervised ? shared : undefined);
  const others = auth === undefined ? (['core'] as const) : (['auth', 'core'] as const);
  const speaks = isFirst && supervised && address !== undefined;
  return {
    address,
    setting: isFirst ? 'http.debug.addr' : `portcullis.${name}.debug`,
    measures: metricsPath !== undefined && (address ?? shared) !== undefined,
    peers: others
      .filter((process) => speaks && own[process] === undefined)
      .map((process) => ({ process, socketPath: sockets[process] })),
  };
}
