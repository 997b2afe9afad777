import type { RedisScript } from '#libs/redis/connection.ts';

/**
 * A lock is one string: JSON of its holders (token → mode and end of the lease) and of those who wait, in
 * the order they came. KEYS[1] is the lock; ARGV[1] the time in milliseconds, empty for Redis' own.
 */
const prelude = `
local key = KEYS[1]
local time
if ARGV[1] ~= '' then time = tonumber(ARGV[1]) else
  local t = redis.call('TIME')
  time = t[1] * 1000 + math.floor(t[2] / 1000)
end
local raw = redis.call('GET', key)
local lock = raw and cjson.decode(raw) or { holders = {}, queue = {} }
local function save(keep)
  if next(lock.holders) == nil and #lock.queue == 0 then redis.call('DEL', key)
  else redis.call('SET', key, cjson.encode(lock), 'PX', keep) end
end
`;

function script(name: string, body: string): RedisScript {
  return { name: `portcullis_lock_${name}`, lua: prelude + body };
}

/**
 * ARGV: time, token, `x` alone or `s` shared, lease, patience (how long a place in the queue is kept
 * without asking again; 0 takes no place). 1 if it is had.
 */
export const acquireLockScript = script(
  'acquire',
  `
local token, mode, lease, patience = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
for other, held in pairs(lock.holders) do
  if held.until_ <= time then lock.holders[other] = nil end
end
local queue = {}
local place
for _, waiter in ipairs(lock.queue) do
  if waiter.token == token then
    waiter.until_ = time + patience
    queue[#queue + 1] = waiter
    place = #queue
  elseif waiter.until_ > time then queue[#queue + 1] = waiter end
end
lock.queue = queue
if not place then
  queue[#queue + 1] = { token = token, mode = mode, until_ = time + patience }
  place = #queue
end
local free = true
for _, held in pairs(lock.holders) do
  if mode == 'x' or held.mode == 'x' then free = false end
end
for before = 1, place - 1 do
  if mode == 'x' or queue[before].mode == 'x' then free = false end
end
if free or patience == 0 then table.remove(queue, place) end
if free then lock.holders[token] = { mode = mode, until_ = time + lease } end
save(math.max(lease, patience) * 2)
return free and 1 or 0
`,
);

/** ARGV: time, token, lease. 0 if it was lost. */
export const renewLockScript = script(
  'renew',
  `
local held = lock.holders[ARGV[2]]
if not held then return 0 end
held.until_ = time + tonumber(ARGV[3])
save(ARGV[3] * 2)
return 1
`,
);

/** ARGV: time, token, channel, message to those who wait. Also leaves the queue. */
export const releaseLockScript = script(
  'release',
  `
lock.holders[ARGV[2]] = nil
local queue = {}
for _, waiter in ipairs(lock.queue) do
  if waiter.token ~= ARGV[2] then queue[#queue + 1] = waiter end
end
lock.queue = queue
local keep = redis.call('PTTL', key)
if keep > 0 then save(keep) end
if #queue > 0 then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
`,
);
