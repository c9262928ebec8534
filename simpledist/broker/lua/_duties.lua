-- Stands before `nudge` and `reap`, after the prelude: what keeps queues, workers and clients true. Rate limits and
-- graces are judged here, by Redis TIME, so that any number of callers may come at any time.

-- Redis answers with an empty table where the hash is missing, fakeredis with nil.
local function some_of(hash, n) return call('HRANDFIELD', hash, n) or {} end

-- Whether a worker that Redis knows holds this. If not, keys were evicted, deleted or half restored: what is left goes.
local function is_held(fn, id, fence, worker)
  local field = fn .. ':' .. id .. ':' .. fence
  if call('HEXISTS', key_held(worker), field) == 1 and call('HEXISTS', key_workers(), worker) == 1 then return true end
  call('HDEL', key_held(worker), field)
  call('HDEL', key_current(fn), id .. ':' .. fence)
  return false
end

-- Looks at some of what runs: what nobody holds goes back, blaming nobody.
local function sweep(fn)
  for _, field in ipairs(some_of(key_current(fn), SWEPT)) do
    local id, fence = string.match(field, '^(.+):(%d+)$')
    local worker = string.match(call('HGET', key_current(fn), field), '^%S+')
    if not (id and worker) then
      call('HDEL', key_current(fn), field)
    elseif not is_held(fn, id, fence, worker) then
      release(fn, id, fence, 'unheld')
    end
  end
end

-- How long the queue is, for the charts: every SAMPLE_MS, each function at a time of its own, and the minute's most. Its
-- lanes count together.
local function sample(fn, last_ms)
  local phase = string.byte(fn, -1) * 997
  if math.floor((last_ms + phase) / SAMPLE_MS) == math.floor((now_ms + phase) / SAMPLE_MS) then return end
  sweep(fn)
  if not is_plain(fn) then return end
  local running, queued = call('HLEN', key_current(fn)), call('ZCARD', key_queued(fn))
  local oldest = tonumber(call('ZRANGE', key_queued(fn), 0, 0, 'WITHSCORES')[2])
  for _, lane in ipairs(call('HKEYS', key_lanes(fn))) do
    if lane ~= fn then
      running, queued = running + call('HLEN', key_current(lane)), queued + call('ZCARD', key_queued(lane))
      local first = tonumber(call('ZRANGE', key_queued(lane), 0, 0, 'WITHSCORES')[2])
      oldest = first and math.min(first, oldest or first) or oldest
    end
  end
  gauge(fn, 'max_running', running)
  gauge(fn, 'max_queued', queued)
  if oldest then gauge(fn, 'max_wait_ms', math.floor(now_ms - oldest / 1000)) end
end

-- Popped and never claimed: whatever in the ledger is older than the head of the list. Found in O(log n) a job.
local function mend_queue(fn)
  local meta, queue, queued = key_meta(fn), key_queue(fn), key_queued(fn)
  local reaped = call('HGET', meta, 'reaped')
  if since(reaped) < DUTIES_MS then return 0 end
  sample(fn, tonumber(reaped or 0))
  call('HDEL', meta, 'reaped')
  call('HSET', meta, 'reaped', now)
  keep_meta(fn)
  if call('ZCARD', queued) == 0 then
    call('DEL', queue)
    return 0
  end
  local head, trimmed = trim(fn)
  if not trimmed then return 0 end
  local lost = call('ZRANGEBYSCORE', queued, '-inf', head and '(' .. text(head) or '+inf', 'LIMIT', 0, BATCH_ITEMS)
  local requeued = 0
  for i = #lost, 1, -1 do
    local id = lost[i]
    local job = job_of(id)
    if not job or job.state ~= 'queued' or (job.lane or fn) ~= fn then
      call('ZREM', queued, id)
      tally(fn)
    elseif not job.missed then
      call('HSET', key_job(id), 'missed', now)
    elseif since(job.missed) >= UNCLAIMED_MS then
      requeue(fn, id, job)
      bump(fn, 'lost_pops')
      requeued = requeued + 1
    end
  end
  return requeued
end

-- Offers withdrawn by this script. Many dead workers of many functions are expelled by several, for Redis stands still
-- meanwhile.
local withdrawn = 0

-- A worker is dead: its jobs go back, with one loss each; at the cap they are suspects themselves. Its last beat goes
-- into its row, so that the next one is seen to be none of a living worker.
local function expel(worker, row)
  call('HDEL', key_suspects(), worker)
  withdrawn = withdrawn + withdraw_offers(worker, row)
  for _, field in ipairs(call('HKEYS', key_held(worker))) do
    local fn, id, fence = split_held(field)
    local job = job_of(id)
    if job and job.fence == fence then
      local losses = call('HINCRBY', key_job(id), 'losses', 1)
      if losses >= LOSS_CAP then
        give_up(fn, id, job, 'lost', losses .. ' workers vanished while they ran it')
      else
        requeue(fn, id, job, 'lost')
      end
    end
    call('HDEL', key_current(fn), id .. ':' .. fence)
  end
  call('DEL', key_held(worker), key_control(worker), key_given(worker))
  local beat = call('HGET', key_heartbeats(), worker) or now
  call('HDEL', key_heartbeats(), worker)
  call('HSET', key_workers(), worker, string.sub(row, 1, -2) .. ',"beat":' .. beat .. ',"dead":' .. now .. '}')
end

-- Expels a silent worker (true), and forgets one that has been dead for long.
local function reap_worker(worker)
  if fresh(call('HGET', key_heartbeats(), worker)) then return false end
  local row = call('HGET', key_workers(), worker)
  if not row then
    call('HDEL', key_heartbeats(), worker)
    call('HDEL', key_connections(), worker)
    return false
  end
  local dead = row_dead(row)
  if dead and now_ms - tonumber(dead) >= FORGET_WORKER_MS then
    call('HDEL', key_workers(), worker)
    call('HDEL', key_heartbeats(), worker)
    call('HDEL', key_vitals(), worker)
    call('HDEL', key_connections(), worker)
  elseif not dead and withdrawn < WITHDRAWN_MOST then
    expel(worker, row)
    return true
  end
  return false
end

-- A closed connection is a suspicion: noted once, cleared by any beat, acted upon after its grace.
local function suspect(id, connection)
  local noted = call('HGET', key_suspects(), id)
  if not noted or string.match(noted, '^%S+') ~= connection then
    call('HSET', key_suspects(), id, connection .. ' ' .. now)
    call('PEXPIRE', key_suspects(), CONTROL_MS)
  end
end

-- Acts on every suspicion whose grace is over, if it was noted in this run of Redis and the row still names that
-- connection. Returns the ids of the workers expelled, the number of clients forgotten, whether others still run.
local function judge(run_id)
  local expelled, forgotten, closing = {}, 0, 0
  if run_id == '' then return expelled, forgotten, closing end
  local flat = call('HGETALL', key_suspects())
  for i = 1, #flat, 2 do
    local id = flat[i]
    local connection, since = string.match(flat[i + 1], '^(%S+) (%d+)$')
    local age = now_ms - tonumber(since)
    local worker, client = call('HGET', key_workers(), id), call('HGET', key_clients(), id)
    if worker and row_connection(worker) == connection and not row_dead(worker) then
      if age < CLOSED_MS then
        closing = 1
      elseif withdrawn >= WITHDRAWN_MOST then
        closing = 1
      elseif string.sub(connection, 1, #run_id) == run_id then
        expel(id, worker)
        table.insert(expelled, id)
      end
    elseif client and string.match(client, '^%d+ (%S+)') == connection then
      if age < CLOSED_CLIENT_MS then
        closing = 1
      elseif string.sub(connection, 1, #run_id) == run_id then
        call('HDEL', key_suspects(), id)
        call('HDEL', key_clients(), id)
        forgotten = forgotten + 1
      end
    else
      call('HDEL', key_suspects(), id)
    end
  end
  return expelled, forgotten, closing
end
