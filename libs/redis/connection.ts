import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from '#libs/log/logger.ts';
import { onClientFault } from './client-fault.ts';
import { RedisAwayError } from './redis-away.ts';
import type { RedisSettings } from './redis-settings.ts';

/** Milliseconds between two looks at a Redis that stopped answering. */
const probeEvery = 250;
/** Milliseconds without a failure after which Redis counts as back. */
const steadyAfter = 1000;
/** Milliseconds after which channels are subscribed to again that could not be. */
const resubscribeAfter = 1000;
/** Milliseconds after which connections are opened anew that the library broke. */
const reopenAfter = 500;
/** Milliseconds that a stop waits for what was sent. */
const quitTimeout = 500;
/** Milliseconds that a start waits for the first connection. */
const firstConnection = 2000;

/** A script that Redis runs as one step. */
export interface RedisScript {
  name: string;
  /** Lua; the keys it touches must be in one slot. */
  lua: string;
}

/** A Redis that may be away: then everything is refused at once, and heals by itself. */
export interface RedisConnection {
  /** True while Redis answers. */
  readonly up: boolean;
  /** Whether keys are spread over several servers by their slot. */
  readonly isCluster: boolean;
  /** @throws RedisAwayError if there is no answer, or one that says to come back later */
  run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown>;
  /** What each server that has keys says of itself in a section of `INFO`. @throws RedisAwayError */
  info(section: string): Promise<string[]>;
  /** Messages may be lost: whoever listens also looks from time to time. */
  subscribe(channel: string, listener: (message: string) => void): void;
  /** Tells whoever listens; a loss is silent. */
  publish(channel: string, message: string): void;
  close(): Promise<void>;
}

/** Replies that mean: not now. All others are our own mistakes. */
const passing =
  /^(?:LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|READONLY|NOREPLICAS|OOM|MISCONF|BUSY|NOAUTH|WRONGPASS|NOPERM|MOVED|ASK|EXECABORT|UNKILLABLE)\b|^ERR The user executing the script can't run/;

/**
 * Connects to Redis. Resolves also while Redis is away, so that what needs none goes on.
 * @param meanwhile what it means that Redis is away, for the log
 * @throws Error if a file of `redis.tls` cannot be read
 */
export async function connectRedis(
  settings: RedisSettings,
  log: Logger,
  meanwhile = 'writes are refused until it does',
): Promise<RedisConnection> {
  // Most have no Redis, and the library takes as much memory as a quarter of the rest.
  const { openClient, primariesOf, redisOptions } = await import('./open-client.ts');
  const options = await redisOptions(settings);
  const listeners = new Map<string, ((message: string) => void)[]>();
  /** Scripts by name. */
  const defined = new Map<string, string>();
  let away = false;
  /** Set while nothing is sent, because the last command got no answer. */
  let silent = false;
  let lastFailure = 0;
  let probing: NodeJS.Timeout | undefined;
  let closed = false;

  function succeeded(): void {
    silent = false;
    if (!away || performance.now() - lastFailure < steadyAfter) return;
    away = false;
    clearInterval(probing);
    log.info('Redis answers again');
  }

  function failed(error: Error): void {
    lastFailure = performance.now();
    if (closed || away) return;
    away = true;
    const what =
      error.name === 'ReplyError' ? 'Redis refuses what it is asked' : 'Redis does not answer';
    log.error({ err: inWords(error) }, `${what}: ${meanwhile}`);
    probing = setInterval(() => void probe(), probeEvery).unref();
  }

  async function probe(): Promise<void> {
    try {
      await commands.ping();
      succeeded();
    } catch (error) {
      failed(error as Error);
    }
  }

  /** Whether a round of subscribing waits for its time. */
  let resubscribing: NodeJS.Timeout | undefined;

  function subscribeAll(): void {
    if (closed || listeners.size === 0) return;
    listening.subscribe(...listeners.keys()).catch((error: Error) => {
      failed(error);
      clearTimeout(resubscribing);
      resubscribing = setTimeout(subscribeAll, resubscribeAfter).unref();
    });
  }

  function openCommands(): Redis | Cluster {
    const client = openClient(settings, options);
    // Without a listener an unreachable server would end the process; commands tell what is wrong.
    client.on('error', failed);
    for (const [name, lua] of defined) client.defineCommand(name, { lua });
    return client;
  }

  function openListening(): Redis | Cluster {
    // It would subscribe again by itself, and nobody would catch what becomes of that.
    const client = openClient(settings, { ...options, autoResubscribe: false });
    client.on('error', failed);
    client.on('message', (channel: string, message: string) => {
      for (const listener of listeners.get(channel) ?? []) listener(message);
    });
    client.on('ready', subscribeAll);
    return client;
  }

  let commands = openCommands();
  let listening = openListening();
  let reopening: NodeJS.Timeout | undefined;

  const stopRecovering = onClientFault((error) => {
    failed(error);
    const broken = [commands, listening];
    for (const client of broken) client.disconnect();
    clearTimeout(reopening);
    reopening = setTimeout(() => {
      if (closed) return;
      for (const client of broken) client.removeAllListeners('ready');
      commands = openCommands();
      listening = openListening();
    }, reopenAfter).unref();
  });
  await firstAnswer(commands);
  await probe();

  return {
    get up() {
      return !away;
    },
    isCluster: settings.kind === 'cluster',

    async run({ name, lua }, keys, args) {
      if (silent)
        throw new RedisAwayError(
          new RedisTrouble('it did not answer the previous command in time'),
        );
      if (!defined.has(name)) {
        commands.defineCommand(name, { lua });
        defined.set(name, lua);
      }
      const command = (commands as unknown as Record<string, ScriptCommand>)[name] as ScriptCommand;
      try {
        const answer = await command.call(commands, keys.length, ...keys, ...args);
        succeeded();
        return answer;
      } catch (error) {
        const { name: kind, message } = error as Error;
        if (kind === 'ReplyError' && !passing.test(message)) throw error;
        if (/timed out/i.test(message)) silent = true;
        failed(error as Error);
        throw new RedisAwayError(inWords(error as Error));
      }
    },

    async info(section) {
      try {
        return await Promise.all(primariesOf(commands).map((node) => node.info(section)));
      } catch (error) {
        throw new RedisAwayError(inWords(error as Error));
      }
    },

    subscribe(channel, listener) {
      const known = listeners.get(channel);
      if (known !== undefined) known.push(listener);
      else {
        listeners.set(channel, [listener]);
        if (listening.status === 'ready') subscribeAll();
      }
    },

    publish(channel, message) {
      commands.publish(channel, message).catch(() => {});
    },

    async close() {
      closed = true;
      clearInterval(probing);
      clearTimeout(resubscribing);
      clearTimeout(reopening);
      stopRecovering();
      listening.disconnect();
      // What was sent just now, as the release of a lock, may arrive first.
      await Promise.race([commands.quit().catch(() => {}), sleep(quitTimeout)]);
      commands.disconnect();
    },
  };
}

type ScriptCommand = (count: number, ...rest: (string | number)[]) => Promise<unknown>;

/** Waits a moment for a Redis that is there, so that the first write does not find it away. */
async function firstAnswer(client: Redis | Cluster): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, firstConnection);
    client.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** What Redis says, or that it says nothing: no fault of ours. */
class RedisTrouble extends Error {
  readonly code = 'redis-trouble';
}

/** What the library says by its own options, said by what has happened. */
function inWords(error: Error): Error {
  const { name, message } = error;
  if (name === 'ReplyError') return new RedisTrouble(message);
  if (message.includes('enableOfflineQueue')) return new RedisTrouble('the connection is closed');
  if (message === 'Command timed out') return new RedisTrouble('it did not answer in time');
  return error;
}
