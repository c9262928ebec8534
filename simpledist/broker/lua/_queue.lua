-- The queue of a lane, which is kept twice: as a list, for blocking pops, and as a sorted set by stamp, the ledger,
-- which alone says what is queued. An element of the list is "<stamp>.<job id>".

-- Returns the first of n stamps: microseconds of Redis TIME, strictly rising in a lane, never used twice.
local function stamps(lane, n)
  local first = now_us
  local last = tonumber(call('HGET', key_meta(lane), 'stamp') or 0)
  if last >= first then first = last + 1 end
  call('HSET', key_meta(lane), 'stamp', text(first + n - 1))
  keep_meta(lane)
  return first
end

local function is_id(text) return string.find(text, '^[%w_-]+$') and #text <= 64 end

-- Returns the stamp of an element, its job's id, and the stamp as text; nothing of one that is not of ours.
local function split_element(element)
  local stamp, id = string.match(element, '^(%d+)%.([%w_-]+)$')
  return tonumber(stamp), id, stamp
end

-- Pops from the head of the list what the ledger does not know: jobs that were claimed in another way or cancelled, and
-- foreign elements. Returns the stamp of the first known element (nil: there is none), and false if more may be left.
local function trim(lane)
  for _ = 1, BATCH_ITEMS do
    local element = call('LINDEX', key_queue(lane), '0')
    if not element then return nil, true end
    local stamp, id = split_element(element)
    local score = id and call('ZSCORE', key_queued(lane), id)
    if score and tonumber(score) == stamp then return stamp, true end
    call('LPOP', key_queue(lane))
  end
  return nil, false
end

-- Puts back elements that were popped and not claimed; only to the head, because they may be in the list already. If
-- others are before one, repair_queue finds it.
local function put_back(lane, elements) -- rare
  for i = #elements, 1, -1 do
    local stamp, id = split_element(elements[i])
    local head, trimmed = trim(lane)
    local first = stamp and trimmed and (not head or stamp < head)
    if first and tonumber(call('ZSCORE', key_queued(lane), id) or 0) == stamp then
      call('LPUSH', key_queue(lane), elements[i])
      call('PEXPIRE', key_queue(lane), UNFINISHED_MS)
    end
  end
end

-- Gives back some of the running jobs, if no worker holds them, and removes offers of workers that there are not.
local function sweep(lane) -- rare
  for _, field in ipairs(some_of(key_current(lane), SWEPT)) do
    local id, fence = string.match(field, '^(.+):(%d+)$')
    local worker = string.match(call('HGET', key_current(lane), field), '^%S+')
    if not (id and worker) then
      call('HDEL', key_current(lane), field)
    elseif not is_held(lane, id, fence, worker) then
      lose(lane, id, fence, 'unheld')
    end
  end
  for _, worker in ipairs(is_plain(lane) and some_of(key_offers(lane), SWEPT) or {}) do
    if call('HEXISTS', key_workers(), worker) == 0 and call('HEXISTS', key_heartbeats(), worker) == 0 then
      call('HDEL', key_offers(lane), worker)
      tally(lane)
    end
  end
end

-- Notes for the charts how long the queue is: every SAMPLE_MS, each function at a time of its own, and of a minute the
-- most. All lanes of a function count together.
local function sample(lane, last_ms)
  local phase = string.byte(lane, -1) * 997
  if math.floor((last_ms + phase) / SAMPLE_MS) == math.floor((now_ms + phase) / SAMPLE_MS) then return end
  sweep(lane)
  if not is_plain(lane) then return end
  local running, queued = call('HLEN', key_current(lane)), call('ZCARD', key_queued(lane))
  local oldest = tonumber(call('ZRANGE', key_queued(lane), '0', '0', 'WITHSCORES')[2])
  for _, other in ipairs(call('HKEYS', key_lanes(lane))) do
    if other ~= lane then
      running, queued = running + call('HLEN', key_current(other)), queued + call('ZCARD', key_queued(other))
      local first = tonumber(call('ZRANGE', key_queued(other), '0', '0', 'WITHSCORES')[2])
      oldest = first and math.min(first, oldest or first) or oldest
    end
  end
  gauge(lane, 'max_running', running)
  gauge(lane, 'max_queued', queued)
  if oldest then gauge(lane, 'max_wait_ms', math.floor(now_ms - oldest / 1000)) end
end

-- Pushes back jobs that were popped and never claimed: those that the ledger has and that are older than the head of
-- the list. Finds them in O(log n) a job. Returns how many there were.
local function repair_queue(lane)
  local meta, queue, queued = key_meta(lane), key_queue(lane), key_queued(lane)
  local reaped = call('HGET', meta, 'reaped')
  if since(reaped) < DUTIES_MS then return 0 end
  sample(lane, tonumber(reaped or 0))
  call('HDEL', meta, 'reaped')
  call('HSET', meta, 'reaped', now)
  keep_meta(lane)
  if call('ZCARD', queued) == 0 then
    call('DEL', queue)
    return 0
  end
  local head, trimmed = trim(lane)
  if not trimmed then return 0 end
  local lost = call('ZRANGEBYSCORE', queued, '-inf', head and '(' .. text(head) or '+inf', 'LIMIT', '0', BATCH_ITEMS)
  local requeued = 0
  for i = #lost, 1, -1 do
    local id = lost[i]
    local job = job_of(id)
    if not job or not is_id(id) or job.state ~= 'queued' or (job.lane or lane) ~= lane then
      call('ZREM', queued, id)
      tally(lane)
    elseif not job.missed then
      call('HSET', key_job(id), 'missed', now)
    elseif since(job.missed) >= UNCLAIMED_MS then
      requeue(lane, id, job)
      bump(lane, 'lost_pops')
      requeued = requeued + 1
    end
  end
  return requeued
end
