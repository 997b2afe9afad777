import { lookup } from 'node:dns/promises';
import type { Agent } from 'node:http';
import { isIP } from 'node:net';
import type { InternalAddress } from './address.ts';
import type { Target } from './instance.ts';

/** An address, and the connections to whatever it stands for. */
export interface Endpoint {
  address: InternalAddress;
  agent: Agent;
}

export interface Resolved {
  /** By the instance's name. */
  targets: Map<string, Target>;
  /** False where a name could not be resolved: it may stand for others than these. */
  isComplete: boolean;
}

/** What addresses stand for now: a name may stand for several hosts. Never throws. */
export async function resolveAddresses(endpoints: readonly Endpoint[]): Promise<Resolved> {
  const targets = new Map<string, Target>();
  let isComplete = true;
  for (const { address, agent } of endpoints) {
    if (address.kind === 'unix') {
      const { socket: socketPath } = address;
      targets.set(`unix:${socketPath}`, { target: { protocol: 'http:', socketPath }, agent });
      continue;
    }
    const { host: name, port, tls } = address;
    const protocol = tls ? 'https:' : 'http:';
    const hosts = await hostsOf(name).catch(() => undefined);
    isComplete &&= hosts !== undefined;
    for (const host of hosts ?? []) {
      targets.set(`${host}:${port}`, { target: { protocol, host, port }, agent });
    }
  }
  return { targets, isComplete };
}

async function hostsOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))].sort();
}
