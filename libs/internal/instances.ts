import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import { Agent as HttpAgent } from '#libs/http/node-http.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { InternalAddress } from './address.ts';
import { type CheckedInstance, createInstance, type Instance } from './instance.ts';
import { readIntoOneBuffer } from './read-into-one-buffer.ts';
import { resolveAddresses } from './resolve-addresses.ts';

/** Milliseconds; shorter than the other side's, so that a request never meets a closing connection. */
const agentIdle = 60_000;
/** Milliseconds between two questions whether an instance is ready. */
const usualInterval = 1000;
/** Milliseconds between two looks at what a name resolves to. */
const resolveEvery = 2000;
/** Checks without an answer after which whoever waits for an answer waits no longer. */
const patience = 4;
/** The same of the only one there is: nobody else could serve its clients, so that it has the time of a short pause. */
const patienceWithOnlyOne = 14;

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
  /** Milliseconds between two checks, for tests. */
  checkEvery?: number;
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
  checkEvery = usualInterval,
}: InstancesOptions): Promise<Instances> {
  const endpoints = addresses.map((address) => ({ address, agent: createAgent(address, ca) }));
  const known = new Map<string, CheckedInstance>();
  /** That the names do not stand for any more: they get no new requests, and end those that they have. */
  const leaving = new Map<string, CheckedInstance>();

  function mark(instance: Instance, ready: boolean, why: string): void {
    // There is no choice where there is one.
    if (instance.ready === ready || (!ready && known.size === 1)) return;
    instance.ready = ready;
    if (leaving.has(instance.name)) return;
    if (ready) log.info({ [kind]: instance.name }, `this ${kind} is ready again`);
    else log.warn({ [kind]: instance.name, why }, `this ${kind} gets no requests for now`);
  }

  async function resolve(): Promise<void> {
    const { targets, isComplete } = await resolveAddresses(endpoints);
    for (const [name, target] of targets) {
      if (known.has(name)) continue;
      known.set(name, leaving.get(name) ?? createInstance(name, target, mark));
      leaving.delete(name);
    }
    if (!isComplete) return;
    for (const [name, instance] of known) {
      if (targets.has(name)) continue;
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

  function checkAll(): void {
    const isOnly = known.size === 1;
    for (const instance of known.values()) {
      // The only one may be what is left of several, and out of favour.
      const isOut = !instance.ready || instance.down.signal.aborted;
      if (!isOnly) instance.check(patience);
      else if (isOut || instance.inFlight > 0) instance.check(patienceWithOnlyOne);
      else instance.pauseChecks();
    }
    for (const [name, instance] of leaving) {
      if (instance.inFlight > 0) instance.check(patience);
      else leaving.delete(name);
    }
  }

  await resolve();
  const named = addresses.some((address) => address.kind === 'tcp' && isIP(address.host) === 0);
  const resolving = named
    ? setInterval(() => void resolveAgain(), resolveEvery).unref()
    : undefined;
  const checking = setInterval(checkAll, checkEvery).unref();

  return {
    all: () => [...known.values()],
    eject: (instance, error) => mark(instance, false, error.message),
    close() {
      clearInterval(resolving);
      clearInterval(checking);
      for (const { agent } of endpoints) agent.destroy();
    },
  };
}

function createAgent(address: InternalAddress, ca: readonly string[] | undefined): HttpAgent {
  const options = { keepAlive: true, timeout: agentIdle };
  if (address.kind === 'unix' || !address.tls) return readIntoOneBuffer(new HttpAgent(options));
  const agent = new HttpsAgent({
    ...options,
    // The name in the certificate is the configured one, whatever host the client asked for.
    servername: isIP(address.host) === 0 ? address.host : '',
    ...(ca === undefined ? {} : { ca: [...ca] }),
  });
  return readIntoOneBuffer(agent);
}
