/**
 * Lua `discard_unless(key, type)`: a key of ours that is of another type was not written by us. It is removed, and
 * counts as one that was never there; else every command on it would fail until somebody removed it by hand.
 */
export const discardOtherTypesLua = `
local function discard_unless(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
`;
