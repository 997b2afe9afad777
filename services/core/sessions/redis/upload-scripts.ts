import type { RedisScript } from '#libs/redis/connection.ts';
import { discardOtherTypesLua } from '#libs/redis/discard-other-types.ts';

/**
 * The steps of an upload session as Redis runs them, each at once. KEYS[1] is the session's hash, KEYS[2]
 * what a gateway sets when it gives the request up; ARGV[1] is the time in milliseconds, empty for Redis' own.
 * docs/coordination.md tells the protocol.
 */
const prelude = `${discardOtherTypesLua}
local key = KEYS[1]
discard_unless(key, 'hash')
local function now()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

function script(name: string, body: string): RedisScript {
  return { name: `portcullis_upload_${name}`, lua: prelude + body };
}

/** ARGV: time, ttl, about, fence, offset, digest, proof. 1 if it was made now. */
export const createScript = script(
  'create',
  `
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'about', ARGV[3], 'fence', ARGV[4], 'offset', ARGV[5], 'digest', ARGV[6],
  'proof', ARGV[7])
redis.call('PEXPIRE', key, ARGV[2])
return 1
`,
);

/** ARGV: time. The fields and their values in turn; empty if there is no session. */
export const readScript = script('read', `return redis.call('HGETALL', key)`);

/**
 * ARGV: time, ttl, lease, turn, channel, message to a holder.
 * `none`; `gone` if the request was given up; `held`; or `yours` and the fields with their values in turn.
 */
export const acquireScript = script(
  'acquire',
  `
if redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
if redis.call('EXISTS', key) == 0 then return {'none'} end
local time = now()
local lease = tonumber(redis.call('HGET', key, 'lease') or '0') or 0
-- One that ends later than any that is granted now is of a clock that was set back.
if lease > time and lease <= time + tonumber(ARGV[3]) then
  redis.call('HSET', key, 'wanted', '1')
  redis.call('PUBLISH', ARGV[5], ARGV[6])
  return {'held'}
end
local fields = redis.call('HGETALL', key)
redis.call('HSET', key, 'turn', ARGV[4], 'holder', ARGV[4], 'lease', tostring(time + tonumber(ARGV[3])))
redis.call('HDEL', key, 'wanted')
redis.call('PEXPIRE', key, ARGV[2])
return {'yours', fields}
`,
);

/** ARGV: time, lease, turn. 0 if the turn is over, -2 if the request was given up, 1, or 2 if somebody waits. */
export const renewScript = script(
  'renew',
  `
if redis.call('EXISTS', KEYS[2]) == 1 then return -2 end
if redis.call('HGET', key, 'turn') ~= ARGV[3] then return 0 end
redis.call('HSET', key, 'lease', tostring(now() + tonumber(ARGV[2])))
if redis.call('HEXISTS', key, 'wanted') == 1 then return 2 end
return 1
`,
);

/** ARGV: time, ttl, lease, turn, fence, offset, digest, proof. 0 if the turn is over, -2 if the request was given up. */
export const updateScript = script(
  'update',
  `
if redis.call('EXISTS', KEYS[2]) == 1 then return -2 end
if redis.call('HGET', key, 'turn') ~= ARGV[4] then return 0 end
redis.call('HSET', key, 'fence', ARGV[5], 'offset', ARGV[6], 'digest', ARGV[7], 'proof', ARGV[8],
  'lease', tostring(now() + tonumber(ARGV[3])))
redis.call('PEXPIRE', key, ARGV[2])
return 1
`,
);

/** ARGV: time, turn, channel, message to those who wait. 0 if the turn is over. */
export const releaseScript = script(
  'release',
  `
if redis.call('HGET', key, 'turn') ~= ARGV[2] then return 0 end
redis.call('HDEL', key, 'turn', 'lease')
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
`,
);

/** ARGV: time, turn, channel, message to those who wait. 0 if the turn is over. */
export const removeScript = script(
  'remove',
  `
if redis.call('HGET', key, 'turn') ~= ARGV[2] then return 0 end
redis.call('DEL', key)
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
`,
);
