import { randomUUID } from 'node:crypto';
import calculateSlot from 'cluster-key-slot';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';
import { discardOtherTypesLua } from '#libs/redis/discard-other-types.ts';

/**
 * An epoch is the time from when a Redis server knows every lock that it granted until it may have
 * forgotten one: it was emptied, restarted, set back to an older state, or a replica took over that lagged.
 * The key of an epoch names the server (run and replication id) that keeps it; where there is no such key, or
 * another server's, a new epoch begins, in which nothing is granted until all leases of the last are over.
 *
 * Lua that expects `time` and KEYS[2], the epoch's key. `current(id)` gives the id of the epoch and when it
 * began, having begun one by this id if need be; `known(id)` whether an epoch is still the present one.
 */
export const epochLua = `${discardOtherTypesLua}
discard_unless(KEYS[2], 'hash')
local function server()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return run .. ' ' .. replication
end
local function current(id)
  local here = server()
  local found = redis.call('HMGET', KEYS[2], 'id', 'server', 'since')
  if found[1] and found[2] == here and (tonumber(found[3]) or math.huge) <= time then
    return found[1], tonumber(found[3]), false
  end
  redis.call('HSET', KEYS[2], 'id', id, 'server', here, 'since', time)
  return id, time, true
end
local function known(id)
  local found = redis.call('HMGET', KEYS[2], 'id', 'server')
  return found[1] == id and found[2] == server()
end
`;

/** KEYS: any of the slot, the epoch's key. ARGV: time, id of an epoch that may have to begin. 1 if it began. */
const beginEpochScript: RedisScript = {
  name: 'portcullis_epoch_begin',
  lua: `
local time
if ARGV[1] ~= '' then time = tonumber(ARGV[1]) else
  local t = redis.call('TIME')
  time = t[1] * 1000 + math.floor(t[2] / 1000)
end
${epochLua}
local _, _, began = current(ARGV[2])
return began and 1 or 0
`,
};

/** Slots of a Cluster (Redis Cluster specification, "Key distribution model"). */
const slots = 16_384;

const tags = new Map<number, string>();
let tried = 0;

/** A short text that falls into a slot. */
function tagOf(slot: number): string {
  for (let tag = tags.get(slot); ; tag = tags.get(slot)) {
    if (tag !== undefined) return tag;
    const next = (tried++).toString(36);
    const itsSlot = calculateSlot(next);
    if (!tags.has(itsSlot)) tags.set(itsSlot, next);
  }
}

/** The key of the epoch of one slot. */
function epochKeyOfSlot(slot: number): string {
  return `portcullis:epoch:{${tagOf(slot)}}`;
}

/** The key of the epoch that another key is of: of a Cluster's servers each keeps those of its slots. */
export function epochKeyFor(key: string, isCluster: boolean): string {
  return isCluster ? epochKeyOfSlot(calculateSlot(key)) : 'portcullis:epoch';
}

/** Slots asked about at once: whoever wants a lock meanwhile waits behind no more. */
const batch = 32;

/**
 * Begins the epochs that have to begin, of all servers: so that the time in which nothing is granted runs for
 * all at once, and not for each lock from when it is first wanted.
 * @throws RedisAwayError
 */
export async function beginEpochs(
  redis: RedisConnection,
  now: () => number | string,
): Promise<void> {
  const begin = (key: string) => redis.run(beginEpochScript, [key, key], [now(), randomUUID()]);
  if (!redis.isCluster) {
    await begin(epochKeyFor('', false));
    return;
  }
  for (let slot = 0; slot < slots; slot += batch) {
    const keys = Array.from({ length: batch }, (_, index) => epochKeyOfSlot(slot + index));
    await Promise.all(keys.map(begin));
  }
}
