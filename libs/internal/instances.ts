import { lookup } from 'node:dns/promises';
import { Agent as HttpAgent, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import { describeUnspoken, protocolOf } from '#libs/http/internal-protocol.ts';
import { requestText } from '#libs/http/request-text.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { InternalAddress } from './address.ts';

/** Milliseconds; shorter than the other side's, so that a request never meets a closing connection. */
const agentIdle = 60_000;
/** Milliseconds between two questions whether an instance is ready. */
const checkEvery = 1000;
/** Milliseconds an instance may take to answer that. */
const checkTimeout = 2000;
/** Milliseconds between two looks at what a name resolves to. */
const resolveEvery = 2000;
/** Failed checks in a row, one a second, after which whoever waits for an answer waits no longer. */
const downAfter = 3;
/** The same of the only one there is: nobody else could serve its clients, so that it has the time of a short pause. */
const onlyOneDownAfter = 13;

/** Errors of a connection to which the system says that nobody listens. */
const takesNoConnections: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT']);

/** One process that serves us. */
export interface Instance {
  /** `unix:/…` or `address:port`: the same on every machine, so that all choose alike. */
  readonly name: string;
  /** How a request reaches it. */
  readonly target: RequestOptions & { protocol: 'http:' | 'https:' };
  readonly agent: HttpAgent;
  /** Requests on their way. */
  inFlight: number;
  /** False once a request failed or a check did, until a check succeeds. */
  ready: boolean;
  /** Aborted when several checks in a row got no answer; another one when it is back. */
  down: AbortController;
}

/** The processes behind some addresses, followed as they come and go. */
export interface Instances {
  all(): readonly Instance[];
  /** A request could not reach it: it gets no more until it answers a check. */
  eject(instance: Instance, error: Error): void;
  close(): void;
}

export interface InstancesOptions {
  addresses: readonly InternalAddress[];
  /** What they are called in the log: `core`, `auth`. */
  kind: string;
  /** Authorities for https addresses, PEM; the system's without it. */
  ca?: readonly string[] | undefined;
  log: Logger;
}

/**
 * Follows the processes behind addresses. A single one is always tried, ready or not; it is asked only while somebody
 * waits for it, so that nobody waits for one that answers nothing any more.
 */
export async function followInstances({
  addresses,
  kind,
  ca,
  log,
}: InstancesOptions): Promise<Instances> {
  const known = new Map<string, Instance>();
  /** That the names do not stand for any more: they get no new requests, and end those that they have. */
  const leaving = new Map<string, Instance>();
  const failures = new WeakMap<Instance, number>();
  const agents = addresses.map((address) => createAgent(address, ca));

  function add(name: string, target: Instance['target'], agent: HttpAgent): void {
    if (known.has(name)) return;
    const back = leaving.get(name);
    if (back !== undefined) {
      leaving.delete(name);
      known.set(name, back);
      return;
    }
    const down = new AbortController();
    known.set(name, { name, target, agent, inFlight: 0, ready: true, down });
  }

  /** What the names stand for now; one that cannot be resolved keeps what it stood for. */
  async function resolve(): Promise<void> {
    const current = new Set<string>();
    let whole = true;
    for (const [index, address] of addresses.entries()) {
      const agent = agents[index] as HttpAgent;
      if (address.kind === 'unix') {
        const name = `unix:${address.socket}`;
        current.add(name);
        add(name, { protocol: 'http:', socketPath: address.socket }, agent);
        continue;
      }
      const found = await hostsOf(address.host).catch(() => undefined);
      whole &&= found !== undefined;
      for (const host of found ?? []) {
        const name = `${host}:${address.port}`;
        current.add(name);
        const protocol = address.tls ? 'https:' : 'http:';
        add(name, { protocol, host, port: address.port }, agent);
      }
    }
    if (!whole) return;
    for (const [name, instance] of known) {
      if (current.has(name)) continue;
      known.delete(name);
      leaving.set(name, instance);
    }
  }

  let isResolving = false;
  async function resolveAgain(): Promise<void> {
    if (isResolving) return;
    isResolving = true;
    await resolve().finally(() => {
      isResolving = false;
    });
  }

  async function check(instance: Instance): Promise<void> {
    try {
      const { target, agent } = instance;
      const asking = {
        target,
        agent,
        method: 'GET',
        path: '/readyz',
        timeout: checkTimeout,
      } as const;
      const { status, headers } = await requestText(asking);
      failures.set(instance, 0);
      if (instance.down.signal.aborted) instance.down = new AbortController();
      const unspoken = describeUnspoken(protocolOf(headers));
      mark(instance, status === 200 && unspoken === undefined, unspoken ?? `it answered ${status}`);
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      mark(instance, false, message);
      // Of one that has ended, the system closes the connections; one of an earlier version that is about to end takes no more,
      // and ends what it has.
      if (takesNoConnections.has(code)) return;
      const count = (failures.get(instance) ?? 0) + 1;
      failures.set(instance, count);
      const isOnly = known.size === 1 && known.has(instance.name);
      if (count >= (isOnly ? onlyOneDownAfter : downAfter)) instance.down.abort();
    }
  }

  function mark(instance: Instance, ready: boolean, why: string): void {
    // There is no choice where there is one.
    if (instance.ready === ready || (!ready && known.size === 1)) return;
    instance.ready = ready;
    if (leaving.has(instance.name)) return;
    if (ready) log.info({ [kind]: instance.name }, `this ${kind} is ready again`);
    else log.warn({ [kind]: instance.name, why }, `this ${kind} gets no requests for now`);
  }

  await resolve();
  const named = addresses.some((address) => address.kind === 'tcp' && isIP(address.host) === 0);
  const resolving = named
    ? setInterval(() => void resolveAgain(), resolveEvery).unref()
    : undefined;
  const checking = setInterval(() => {
    for (const instance of known.values()) {
      // It may be the one left of several, and out of favour.
      const isOut = !instance.ready || instance.down.signal.aborted;
      if (known.size > 1 || isOut || instance.inFlight > 0) void check(instance);
      else failures.delete(instance);
    }
    for (const [name, instance] of leaving) {
      if (instance.inFlight > 0) void check(instance);
      else leaving.delete(name);
    }
  }, checkEvery).unref();

  return {
    all: () => [...known.values()],
    eject: (instance, error) => mark(instance, false, error.message),
    close() {
      clearInterval(resolving);
      clearInterval(checking);
      for (const agent of agents) agent.destroy();
    },
  };
}

function createAgent(address: InternalAddress, ca: readonly string[] | undefined): HttpAgent {
  const options = { keepAlive: true, timeout: agentIdle };
  if (address.kind === 'unix' || !address.tls) return new HttpAgent(options);
  return new HttpsAgent({
    ...options,
    // The name in the certificate is the configured one, whatever host the client asked for.
    servername: isIP(address.host) === 0 ? address.host : '',
    ...(ca === undefined ? {} : { ca: [...ca] }),
  });
}

async function hostsOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))].sort();
}
