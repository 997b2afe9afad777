import type { RedisScript } from '#libs/redis/connection.ts';
import { epochLua } from './epoch.ts';

/**
 * A lock is one string: JSON of its holders (token → mode and end of the lease), of those who wait, in the
 * order they came, and of the epoch in which it was granted. KEYS[1] is the lock, KEYS[2] the epoch, KEYS[3] what
 * a gateway sets when it gives the request up; ARGV[1] the time in milliseconds, empty for Redis' own.
 */
const prelude = `
local key = KEYS[1]
local time
if ARGV[1] ~= '' then time = tonumber(ARGV[1]) else
  local t = redis.call('TIME')
  time = t[1] * 1000 + math.floor(t[2] / 1000)
end
local function is_lock(found)
  if type(found) ~= 'table' or type(found.holders) ~= 'table' or type(found.queue) ~= 'table' then return false end
  for _, entries in ipairs({ found.holders, found.queue }) do
    for _, entry in pairs(entries) do
      if type(entry) ~= 'table' or type(entry.until_) ~= 'number' then return false end
    end
  end
  return true
end
local function load()
  local raw = redis.call('TYPE', key).ok == 'string' and redis.call('GET', key)
  local ok, lock = pcall(cjson.decode, raw or '')
  if ok and is_lock(lock) then return lock, false end
  -- What is there is no lock of ours: who held it is forgotten, as when Redis loses its memory.
  if redis.call('DEL', key) == 1 then redis.call('DEL', KEYS[2]) end
  return { holders = {}, queue = {} }
end
local function save(lock, keep)
  if next(lock.holders) == nil and #lock.queue == 0 then redis.call('DEL', key)
  else redis.call('SET', key, cjson.encode(lock), 'PX', keep) end
end
`;

function script(name: string, body: string): RedisScript {
  return { name: `portcullis_lock_${name}`, lua: prelude + epochLua + body };
}

/**
 * ARGV: time, token, `x` alone or `s` shared, lease, how long a place in the queue is kept without asking
 * again (0 takes no place), id of an epoch that may have to begin.
 * Outcome (1 granted, 0 not, -2 the request was given up), the epoch's id, 1 if it has just begun.
 */
export const acquireLockScript = script(
  'acquire',
  `
if redis.call('EXISTS', KEYS[3]) == 1 then return {-2, '', 0} end
local token, mode, lease, max_wait = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local lock = load()
local epoch, since, began = current(ARGV[6])
-- Whether it was given up was forgotten with the locks. The name of an attempt says when it was made; one that begins the
-- epoch itself, as the first of a new Redis does, was made a moment before.
local made = tonumber(string.match(KEYS[3], '%.(%d+)$'))
if made and made < since - (began and 2000 or 0) then return {-2, epoch, began and 1 or 0} end
if lock.epoch ~= epoch then lock = { holders = {}, queue = {}, epoch = epoch } end
for other, held in pairs(lock.holders) do
  -- Where the clock was set back: from now on, it lasts no longer than if it were granted now.
  held.until_ = math.min(held.until_, time + lease)
  if held.until_ <= time then lock.holders[other] = nil end
end
local queue = {}
local place
for _, waiter in ipairs(lock.queue) do
  if waiter.token == token then
    waiter.until_ = time + max_wait
    queue[#queue + 1] = waiter
    place = #queue
  elseif waiter.until_ > time then
    waiter.until_ = math.min(waiter.until_, time + math.max(lease, max_wait))
    queue[#queue + 1] = waiter
  end
end
lock.queue = queue
if not place then
  queue[#queue + 1] = { token = token, mode = mode, until_ = time + max_wait }
  place = #queue
end
-- Whoever had a lock that was forgotten may rely on it until its lease is over.
local free = time - since >= lease
for _, held in pairs(lock.holders) do
  if mode == 'x' or held.mode == 'x' then free = false end
end
for before = 1, place - 1 do
  if mode == 'x' or queue[before].mode == 'x' then free = false end
end
if free or max_wait == 0 then table.remove(queue, place) end
if free then lock.holders[token] = { mode = mode, until_ = time + lease } end
save(lock, math.max(lease, max_wait) * 2)
return {free and 1 or 0, epoch, began and 1 or 0}
`,
);

/** ARGV: time, token, lease, epoch of the grant. 1 if it is still held, 0 if it was lost, -2 if given up. */
export const confirmLockScript = script(
  'confirm',
  `
if redis.call('EXISTS', KEYS[3]) == 1 then return -2 end
if not known(ARGV[4]) then return 0 end
local lock = load()
local held = lock.holders[ARGV[2]]
if not held then return 0 end
held.until_ = time + tonumber(ARGV[3])
save(lock, ARGV[3] * 2)
return 1
`,
);

/** ARGV: time, token, channel, message to those who wait. Also leaves the queue. */
export const releaseLockScript = script(
  'release',
  `
local lock = load()
lock.holders[ARGV[2]] = nil
local queue = {}
for _, waiter in ipairs(lock.queue) do
  if waiter.token ~= ARGV[2] then queue[#queue + 1] = waiter end
end
lock.queue = queue
local keep = redis.call('PTTL', key)
if keep > 0 then save(lock, keep) end
if #queue > 0 then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
`,
);
