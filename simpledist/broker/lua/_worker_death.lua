-- The death of a worker: nothing else decides that a worker is dead, or takes its offers and jobs from it. Graces are
-- judged by the time of Redis, so any number of callers may ask at any time.

-- Removes a worker's offers; its row names their functions (a name holds neither quotes nor brackets: job.NAME).
-- Returns how many there were.
local function withdraw_offers(worker, row)
  local n = 0
  for fn in string.gmatch(string.match(row, '"functions":%[([^%]]*)%]') or '', '"([^"]+)"') do
    gather('HDEL', key_offers(fn), worker)
    tally(fn)
    n = n + 1
  end
  return n
end

local function forget_worker(worker)
  call('HDEL', key_workers(), worker)
  call('HDEL', key_heartbeats(), worker)
  call('HDEL', key_vitals(), worker)
  call('HDEL', key_connections(), worker)
end

-- How many offers this script has withdrawn. Redis stands still while it does so: the deaths of many workers with many
-- functions are spread over several scripts.
local withdrawn = 0

-- Declares a worker dead. Its jobs go back to their queues with one loss each. The last heartbeat moves into the row:
-- the next beat is then seen not to be a living worker's.
local function expel(worker, row)
  call('HDEL', key_suspects(), worker)
  withdrawn = withdrawn + withdraw_offers(worker, row)
  for _, field in ipairs(call('HKEYS', key_held(worker))) do
    local lane, id, fence = split_held(field)
    if lane then
      lose(lane, id, fence, 'lost')
      call('HDEL', key_current(lane), id .. ':' .. fence)
    end
  end
  call('DEL', key_held(worker), key_control(worker), key_given(worker))
  local beat = string.match(call('HGET', key_heartbeats(), worker) or now, '^%d+$') or now
  call('HDEL', key_heartbeats(), worker)
  call('HSET', key_workers(), worker, string.sub(row, 1, -2) .. ',"beat":' .. beat .. ',"dead":' .. now .. '}')
end

-- Expels a worker that is silent.
local function expel_if_silent(worker)
  local row = registered(worker)
  if row and not beats(worker) then expel(worker, row) end
end

-- Expels a silent worker (true), and forgets one that has been dead for long.
local function reap_worker(worker)
  if beats(worker) then return false end
  local row = call('HGET', key_workers(), worker)
  if not row then
    call('HDEL', key_heartbeats(), worker)
    call('HDEL', key_connections(), worker)
    return false
  end
  local dead = row_dead(row)
  if dead and since(dead) >= FORGET_WORKER_MS then
    forget_worker(worker)
  elseif not dead and withdrawn < WITHDRAWN_MOST then
    expel(worker, row)
    return true
  end
  return false
end

-- Expels a worker whose connection is closed, once the grace is over: 'waits', 'expelled', or 'other_run' if another
-- run of Redis had noted the connection.
local function judge_worker(worker, row, connection, age_ms, run_id)
  if age_ms < CLOSED_MS then return 'waits' end
  if withdrawn >= WITHDRAWN_MOST then return 'waits' end
  if string.sub(connection, 1, #run_id) ~= run_id then return 'other_run' end
  expel(worker, row)
  return 'expelled'
end
