import { createHash } from 'node:crypto';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';
import { discardOtherTypesLua } from '#libs/redis/discard-other-types.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';
import type { AttemptCounter, Refusal, Reservation } from './attempt-counter.ts';
import { createMemoryCounter } from './memory-counter.ts';

/**
 * KEYS: a hash for each budget: its period (p), what it counts in it (c) and counted in the one before (q), and how
 * much of that is under way (r). The time is that of Redis, which is the same for all token services.
 */
const prelude = `${discardOtherTypesLua}
for _, key in ipairs(KEYS) do discard_unless(key, 'hash') end
local clock = redis.call('TIME')
local time = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window = tonumber(ARGV[1])
local period = math.floor(time / window)
local function read(key)
  local found = redis.call('HMGET', key, 'p', 'c', 'q', 'r')
  local p, c, q, r = tonumber(found[1]), tonumber(found[2]) or 0, tonumber(found[3]) or 0, tonumber(found[4]) or 0
  if p == period - 1 then c, q = 0, c elseif p ~= period then c, q = 0, 0 end
  return c, q, r
end
local function write(key, c, q, r)
  redis.call('HSET', key, 'p', period, 'c', c, 'q', q, 'r', r)
  redis.call('PEXPIRE', key, 2 * window)
end
`;

/**
 * ARGV: window, then how many each budget may have. Answers 1, the period, and what each counted before; or 0, the
 * place of the budget that has none left, whether some of it is under way, and milliseconds until there is room.
 */
const reserveScript: RedisScript = {
  name: 'portcullis_attempts_reserve',
  lua: `${prelude}
local passed = (time % window) / window
local taken, answer = {}, { 1, tostring(period) }
for place, key in ipairs(KEYS) do
  local c, q, r = read(key)
  local count, most = c + q * (1 - passed), tonumber(ARGV[place + 1])
  if most > 0 and count >= most then
    return { 0, place, count - r < most and 1 or 0, window - time % window + 1 }
  end
  taken[place] = { c + 1, q, r + 1 }
  answer[#answer + 1] = tostring(count)
end
for place, key in ipairs(KEYS) do write(key, unpack(taken[place])) end
return answer
`,
};

/** ARGV: window, the period it was taken in, 1 if it failed. */
const settleScript: RedisScript = {
  name: 'portcullis_attempts_settle',
  lua: `${prelude}
local since = tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    local c, q, r = read(key)
    if ARGV[3] ~= '1' then
      if since == period then c = math.max(0, c - 1) end
      if since == period - 1 then q = math.max(0, q - 1) end
    end
    write(key, c, q, math.max(0, r - 1))
  end
end
return 1
`,
};

/**
 * Counts for all token services together; while Redis is away each counts alone, and goes on from what it has counted
 * itself.
 * @param window milliseconds
 */
export function createRedisCounter(redis: RedisConnection, window: number): AttemptCounter {
  const alone = createMemoryCounter(window);

  return {
    async reserve(group, budgets) {
      const keys = budgets.map(({ key }) => nameOf(group, key));
      const most = budgets.map((budget) => budget.most);
      let answer: (string | number)[];
      try {
        answer = (await redis.run(reserveScript, keys, [window, ...most])) as (string | number)[];
      } catch (error) {
        if (!(error instanceof RedisAwayError)) throw error;
        return await alone.reserve(group, budgets);
      }
      if (Number(answer[0]) === 0) {
        const [, place, busy, retryAfter] = answer.map(Number);
        const key = budgets[(place ?? 1) - 1]?.key ?? '';
        return { ok: false, key, busy: busy === 1, retryAfter: retryAfter ?? 0 } satisfies Refusal;
      }
      const [, period = '', ...before] = answer;
      const own = await alone.reserve(
        group,
        budgets.map(({ key }) => ({ key, most: 0 })),
      );
      const settle = async (failed: boolean) => {
        if (own.ok) await (failed ? own.keep() : own.giveBack());
        try {
          await redis.run(settleScript, keys, [window, period, failed ? 1 : 0]);
        } catch (error) {
          // It stays counted until its window is over.
          if (!(error instanceof RedisAwayError)) throw error;
        }
      };
      return {
        ok: true,
        before: before.map(Number),
        keep: () => settle(true),
        giveBack: () => settle(false),
      } satisfies Reservation;
    },
  };
}

/** A name of bounded length, whatever stands in it; the group is in braces, so that it is in one slot. */
function nameOf(group: string, key: string): string {
  const [tag, name] = [group, key].map((text) =>
    createHash('sha256').update(text).digest('base64url').slice(0, 22),
  );
  return `portcullis:attempts:{${tag}}:${name}`;
}
