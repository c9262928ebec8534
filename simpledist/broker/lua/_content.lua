-- Stands after the prelude: what `submit`, `complete` and `clear` know of calls that are the same call, by their content
-- address: one in flight is joined, the value of one that was kept answers another.

-- A job's name with what its caller asked for: "id", or "id address join(0|1) cache_ms(0: not to be kept) kept(0|1)".
local function split_label(label)
  if not string.find(label, ' ', 1, true) then return label end
  local id, address, join, cache_ms, kept = string.match(label, '^(%S+) (%S+) (%d) (%d+) (%d)$')
  return id, address, join == '1', tonumber(cache_ms), kept == '1'
end

-- The job in flight that a call with this address may join.
local function joinable(address)
  local id = call('GET', key_join(address))
  local state = id and call('HGET', key_job(id), 'state')
  return (state == 'queued' or state == 'running') and id or nil
end

-- How often the cache of a function was cleared: what was submitted before the last time is not kept.
local function generation(fn) return call('HGET', key_meta(fn), 'cleared') or '0' end

local function live_at_least(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, ms) end
end

-- Kept values leave the books, and Redis: `members` are "<address> <bytes>".
local function forget_kept(fn, members)
  local freed = 0
  for _, member in ipairs(members) do
    local address, size = string.match(member, '^(%S+) (%d+)$')
    freed = freed + tonumber(size)
    call('DEL', key_kept(address))
    call('ZREM', key_cached(fn), member)
  end
  if freed > 0 and call('HINCRBY', key_cached_bytes(), fn, text(-freed)) <= 0 then call('HDEL', key_cached_bytes(), fn) end
end

-- Whether `size` more bytes fit into the budget of all functions together. Whoever holds most of it makes room, with
-- what would end soonest.
local function make_room(size)
  for _ = 1, 100 do
    local flat, total, most, holder = call('HGETALL', key_cached_bytes()), 0, 0, nil
    for i = 1, #flat, 2 do
      local bytes = tonumber(flat[i + 1])
      total = total + bytes
      if bytes > most then most, holder = bytes, flat[i] end
    end
    if total + size <= CACHED_BYTES then return true end
    local soonest = call('ZRANGE', key_cached(holder), 0, 9)
    if #soonest == 0 then call('HDEL', key_cached_bytes(), holder) end
    forget_kept(holder, soonest)
  end
  return false
end

-- The value of a job is kept for other calls with its address, unless its function's cache was cleared since.
local function keep(fn, id, job, result)
  local size = result ~= '' and #result or call('STRLEN', key_result(id))
  if size == 0 or size > CACHED_RESULT_BYTES or job.generation ~= generation(fn) then return end
  local cached, address, ms = key_cached(fn), job.address, tonumber(job.cache)
  forget_kept(fn, call('ZRANGEBYSCORE', cached, '-inf', now, 'LIMIT', 0, BATCH_ITEMS))
  local before = call('STRLEN', key_kept(address))
  if before > 0 then forget_kept(fn, { address .. ' ' .. text(before) }) end
  if not make_room(size) then return end
  if result == '' then result = call('GET', key_result(id)) end
  call('SET', key_kept(address), result, 'PX', ms)
  call('ZADD', cached, text(now_ms + ms), address .. ' ' .. text(size))
  call('HINCRBY', key_cached_bytes(), fn, size)
  live_at_least(cached, ms)
  live_at_least(key_cached_bytes(), ms)
  bump(fn, 'kept')
end
