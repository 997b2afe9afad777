import { createHmac } from 'node:crypto';
import { constants, readFileSync } from 'node:fs';
import { z } from 'zod';
import { editFile } from '#libs/files/edit-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';
import { discardOtherTypesLua } from '#libs/redis/discard-other-types.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';

const day = 24 * 60 * 60 * 1000;
/** Days that a login stays known after it was right last. */
const knownFor = 30;
/** Networks that are known for one account; beyond, those not used for longest are forgotten. */
const maxNetworks = 50;
/** Milliseconds that what is new waits, so that many are written at once. */
const writeAfter = 5000;

/** From which networks an account logged in rightly within the last 30 days. */
export interface KnownLogins {
  has(account: string, network: string): Promise<boolean>;
  /** Never throws: who is not written down is known to this process all the same. */
  add(account: string, network: string): Promise<void>;
  close(): Promise<void>;
}

export interface KnownLoginsOptions {
  /** Keeps them over a restart; undefined keeps them in memory only. */
  path: string | undefined;
  /** Makes what is kept useless to whoever reads it: it names neither accounts nor addresses. */
  secret: Buffer;
  /** Shares them with other token services. */
  redis: RedisConnection | undefined;
  log: Logger;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** Account → network → the day it was right last, in days since the epoch; names are keyed hashes. */
type Known = Map<string, Map<string, number>>;

const fileSchema = z.record(z.string(), z.record(z.string(), z.number()));

/** KEYS: an account's hash of network → day. ARGV: network, day, how many to keep, milliseconds to keep them. */
const addScript: RedisScript = {
  name: 'portcullis_known_add',
  lua: `${discardOtherTypesLua}
discard_unless(KEYS[1], 'hash')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[3]) then return 1 end
local all, oldest = redis.call('HGETALL', KEYS[1]), nil
for place = 1, #all, 2 do
  if not oldest or (tonumber(all[place + 1]) or 0) < (tonumber(all[oldest + 1]) or 0) then oldest = place end
end
redis.call('HDEL', KEYS[1], all[oldest])
return 1
`,
};

/** KEYS: the same. ARGV: network. Answers the day, or 0. */
const findScript: RedisScript = {
  name: 'portcullis_known_find',
  lua: `${discardOtherTypesLua}
discard_unless(KEYS[1], 'hash')
return tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
`,
};

export function openKnownLogins(options: KnownLoginsOptions): KnownLogins {
  const { path, secret, redis, log, now = Date.now } = options;
  const known: Known = path === undefined ? new Map() : readKnown(path, log);
  let changed: Known = new Map();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const hash = (...parts: string[]) =>
    createHmac('sha256', secret)
      .update(JSON.stringify(['known login', ...parts]))
      .digest('base64url')
      .slice(0, 22);
  const today = () => Math.floor(now() / day);
  const isRecent = (found: number | undefined) => (found ?? 0) > today() - knownFor;
  const redisKey = (account: string) => `portcullis:known:{${account}}`;

  async function inRedis<T>(ask: (connection: RedisConnection) => Promise<T>, otherwise: T) {
    if (redis === undefined) return otherwise;
    try {
      return await ask(redis);
    } catch (error) {
      if (!(error instanceof RedisAwayError)) throw error;
      return otherwise;
    }
  }

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    forgetOld(known, today() - knownFor);
    if (path === undefined || changed.size === 0) return await writing;
    const fresh = changed;
    changed = new Map();
    writing = writing
      .then(() =>
        editFile(path, (text) => {
          const all = parseKnown(text);
          for (const [account, networks] of fresh) {
            for (const [network, when] of networks) remember(all, account, network, when);
          }
          forgetOld(all, today() - knownFor);
          return formatKnown(all);
        }),
      )
      .catch((error: unknown) =>
        log.debug({ err: error, file: path }, 'known logins stay in memory'),
      );
    await writing;
  }

  return {
    async has(account, network) {
      const [who, where] = [hash(account), hash(account, network)];
      if (isRecent(known.get(who)?.get(where))) return true;
      const found = await inRedis(
        async (connection) => Number(await connection.run(findScript, [redisKey(who)], [where])),
        0,
      );
      if (!isRecent(found)) return false;
      remember(known, who, where, found);
      return true;
    },

    async add(account, network) {
      const [who, where] = [hash(account), hash(account, network)];
      const date = today();
      if (known.get(who)?.get(where) === date) return;
      remember(known, who, where, date);
      remember(changed, who, where, date);
      timer ??= setTimeout(() => void write(), writeAfter).unref();
      const args = [where, date, maxNetworks, knownFor * day];
      await inRedis(async (connection) => {
        await connection.run(addScript, [redisKey(who)], args);
      }, undefined);
    },

    close: write,
  };
}

function remember(all: Known, account: string, network: string, date: number): void {
  const networks = all.get(account) ?? new Map<string, number>();
  all.set(account, networks);
  networks.set(network, Math.max(date, networks.get(network) ?? 0));
  if (networks.size <= maxNetworks) return;
  const [oldest] = [...networks].sort(([, a], [, b]) => a - b);
  if (oldest !== undefined) networks.delete(oldest[0]);
}

function readKnown(path: string, log: Logger): Known {
  try {
    // Opening a pipe so waits for nobody.
    const flag = constants.O_RDONLY | constants.O_NONBLOCK;
    return parseKnown(readFileSync(path, { encoding: 'utf8', flag }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log.warn({ err: error, file: path }, 'known logins cannot be read; starting without them');
    }
    return new Map();
  }
}

function parseKnown(text: string | undefined): Known {
  const parsed = fileSchema.safeParse(text === undefined ? {} : parseJson(text));
  // Whatever else stands there is of no use, and is written anew.
  if (!parsed.success) return new Map();
  return new Map(
    Object.entries(parsed.data).map(([who, networks]) => [who, new Map(Object.entries(networks))]),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param until days since the epoch: what was used then, or before, is forgotten */
function forgetOld(all: Known, until: number): void {
  for (const [who, networks] of all) {
    for (const [network, date] of networks) if (date <= until) networks.delete(network);
    if (networks.size === 0) all.delete(who);
  }
}

function formatKnown(all: Known): string {
  const accounts = [...all].map(([who, networks]) => [who, Object.fromEntries(networks)]);
  return `${JSON.stringify(Object.fromEntries(accounts))}\n`;
}
