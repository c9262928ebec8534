-- Calls that are the same call, by their content address: a call may join one in flight, or get the kept value of
-- another.

-- Returns the job in flight that a call with this address may join.
local function joinable(address) -- rare
  local id = call('GET', key_join(address))
  local state = id and call('HGET', key_job(id), 'state')
  return (state == 'queued' or state == 'running') and id or nil
end

-- Returns how often the cache of a lane's function was cleared: what was submitted before the last time is not kept.
local function generation(lane) return call('HGET', key_meta(function_of(lane)), 'cleared') or '0' end

local function live_at_least(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, ms) end
end

-- Removes kept values from the books and from Redis; `members` are "<address> <bytes>".
local function forget_kept(fn, members)
  local freed = 0
  for _, member in ipairs(members) do
    local address, size = string.match(member, '^(%S+) (%d+)$')
    if address then
      freed = freed + tonumber(size)
      call('DEL', key_kept(address))
    end
    call('ZREM', key_cached(fn), member)
  end
  if freed > 0 and call('HINCRBY', key_cached_bytes(), fn, text(-freed)) <= 0 then
    call('HDEL', key_cached_bytes(), fn)
  end
end

-- Returns whether `size` more bytes fit into the budget of all functions together. The function that holds most of it
-- makes room: its values that would end soonest go.
local function make_room(size)
  for _ = 1, 100 do
    local flat, total, most, holder = call('HGETALL', key_cached_bytes()), 0, 0, nil
    for i = 1, #flat, 2 do
      local bytes = tonumber(flat[i + 1]) or 0
      total = total + bytes
      if bytes > most then
        most, holder = bytes, flat[i]
      end
    end
    if total + size <= CACHED_BYTES then return true end
    local soonest = call('ZRANGE', key_cached(holder), '0', '9')
    if #soonest == 0 then call('HDEL', key_cached_bytes(), holder) end
    forget_kept(holder, soonest)
  end
  return false
end

-- Keeps the value of a job for other calls with its address, unless its function's cache was cleared since.
local function keep(lane, id, job, result) -- rare
  local size = result ~= '' and #result or call('STRLEN', key_result(id))
  if size == 0 or size > CACHED_RESULT_BYTES or job.generation ~= generation(lane) then return end
  local fn = function_of(lane) -- whatever its code: `clear` forgets them all
  local cached, address, ms = key_cached(fn), job.address, tonumber(job.cache)
  forget_kept(fn, call('ZRANGEBYSCORE', cached, '-inf', now, 'LIMIT', '0', BATCH_ITEMS))
  local before = call('STRLEN', key_kept(address))
  if before > 0 then forget_kept(fn, { address .. ' ' .. text(before) }) end
  if not make_room(size) then return end
  if result == '' then result = call('GET', key_result(id)) end
  call('SET', key_kept(address), result, 'PX', ms)
  call('ZADD', cached, text(now_ms + ms), address .. ' ' .. text(size))
  call('HINCRBY', key_cached_bytes(), fn, size)
  live_at_least(cached, ms)
  live_at_least(key_cached_bytes(), ms)
  bump(lane, 'kept')
end
