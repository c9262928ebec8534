-- beat: a worker lives, and says what it holds. Whatever Redis thinks that it holds and it does not name was lost
-- with a reply on the wire: back to the queue; the attempt does not count.
-- ARGV: worker connection slots stats (JSON for people, of worker_stats.py; '': as before),
--       row ('' or JSON: registers), n_held held... (lane:id:fence; -1: it lives, and is in the middle of another verb),
--       then, with a row: traits (JSON: protocol keys python tags), lifetime_ms(0: for ever),
--       n_functions (function digest place)...,
--       without one: n_offered function... (some that it offers: does Redis still know that?)
-- Replies: 0 (unknown: beat again, with the row) | Redis' time in ms (nothing to say) | stop..., missing..., lanes...
--          (with a row: all that it is to take jobs from), that time

local worker, connection, slots, stats, row, n_held = arg(), arg(), number(), arg(), arg(), number()

local function count_pulse()
  if n_held < 0 then return end
  local pulse = key_pulse(math.floor(minute / 60))
  local beats_counted =
    call('HINCRBY', pulse, string.format('%d:%d:%d', minute % 60, slots, math.min(n_held, slots)), '1')
  if beats_counted == 1 then
    call('PEXPIRE', pulse, HISTORY_MINUTES * 60000)
    call('PEXPIRE', key_connections(), ENDED_MS)
  end
  if stats ~= '' then call('HSET', key_vitals(), worker, stats) end
end

-- Returns whether Redis still has what this worker offers: one that evicts keys may have lost just that, and anybody
-- may have written over it.
local function knows_offers()
  local names = {}
  for i = 1, number() do
    names[i] = arg()
    local offer = call('HGET', key_offers(names[i]), worker)
    if not offer or string.find(offer, '{"lane":"', 1, true) ~= 1 then return false end
  end
  if #names > 0 then call('SADD', key_functions(), unpack(names)) end
  return true
end

-- Takes the beat of a worker with nothing to say; an expelled one has no heartbeat, and so is unknown. Of ten thousand
-- workers four thousand beat in a second: their rows, which are long, are not read.
local function is_known()
  if
    call('HSET', key_heartbeats(), worker, now) == 0
    and call('HEXISTS', key_workers(), worker) == 1
    and call('HEXISTS', key_connections(), worker) == 1
    and knows_offers()
  then
    count_pulse()
    return now_ms
  end
  call('HDEL', key_heartbeats(), worker)
  return 0
end

call('HDEL', key_suspects(), worker)
local n_known = row == '' and call('HLEN', key_held(worker))
if n_held < 0 or n_known == n_held and n_held == 0 then return is_known() end

--- What each part needs is made only if the part before it has not returned.

local named, order = {}, {}
for i = 1, n_held do
  order[i] = arg()
  named[order[i]] = true
end

-- Returns whether a job is where both sides think that it is, and somebody waits for it.
local function is_well(field, known)
  local _, id, fence = split_held(field)
  local owner = owner_of(id)
  local its_fence, shared, waits = unpack(call('HMGET', key_job(id), 'fence', 'shared', 'waiting:' .. owner))
  if not known or its_fence ~= fence then return false end
  return not is_orphan(shared and job_of(id) or { waiting = { waits and owner } })
end

local function all_well()
  for from = 1, n_held, BATCH_ITEMS do
    local to = math.min(from + BATCH_ITEMS - 1, n_held)
    local known = call('HMGET', key_held(worker), unpack(order, from, to))
    for i = from, to do
      if not is_well(order[i], known[i - from + 1]) then return false end
    end
  end
  return true
end

if n_known == n_held and all_well() then
  call('PEXPIRE', key_held(worker), UNFINISHED_MS)
  return is_known()
end

---

-- Registers the worker, and returns the lanes that it is to take jobs from.
local function register(old_row)
  if old_row then
    withdraw_offers(worker, old_row)
    flush()
  end
  call('HSET', key_workers(), worker, row)
  call('HSET', key_connections(), worker, connection)
  call('PEXPIRE', key_connections(), ENDED_MS)
  local traits, lifetime_ms, n_functions = arg(), number(), number()
  local protocol, tags = string.match(traits, '"protocol":(%d+)'), string.match(traits, '"tags":(%b[])')
  local leaves_at = text(lifetime_ms > 0 and now_ms + lifetime_ms or 0)
  -- stylua: ignore
  local rest = ',"since":' .. now .. ',"leaves_at":' .. leaves_at .. ',"passes_until":0}'
  local lanes = {}
  for _ = 1, n_functions do
    local fn, digest, place = arg(), arg(), arg()
    local lane, code = assign_lane(fn, protocol, digest)
    add_lanes_to_pop(fn, code, tags, lanes)
    gather('SADD', key_functions(), fn)
    local offer = '{"lane":"' .. lane .. '","digest":"' .. digest .. '",' .. string.sub(traits, 2, -2)
    gather('HSET', key_offers(fn), worker, offer .. ',"place":"' .. place .. '"' .. rest)
    tally(fn)
  end
  return lanes
end

-- Goes on with a job that was taken from this worker while it was away, and that has not begun elsewhere.
local function go_on(lane, id, fence, job)
  local submitted = time_submitted(lane, id, job)
  local attempt = tonumber(job.attempts or 0) + 1
  call('ZREM', key_queued(lane), id)
  call('HDEL', key_job(id), 'missed')
  -- stylua: ignore
  call('HSET', key_job(id), 'state', 'running', 'fence', fence, 'worker', worker, 'slot', '-', 'attempts', attempt,
    'queued_ms', job.queued_ms or '0', 'submitted', submitted)
  tally(lane)
  hold(lane, id, fence, worker, '-', attempt, '-')
end

local old = call('HGET', key_workers(), worker)
if row == '' and (not old or row_dead(old) or not row_names(old, connection) or not knows_offers()) then return 0 end
call('HSET', key_heartbeats(), worker, now)
count_pulse()
epoch()
local lanes = row ~= '' and register(old) or {}
local stop, missing = {}, {}
for _, field in ipairs(order) do
  local lane, id, fence = split_held(field)
  local job = job_of(id)
  if not job then
    table.insert(missing, field)
  elseif job.lane and job.lane ~= lane then
    table.insert(stop, field)
  elseif ENDED[job.state] or is_orphan(job) then
    if job.fence == fence then drop(lane, id, job) end
    table.insert(stop, field)
  elseif job.state == 'queued' then
    go_on(lane, id, fence, job)
  elseif job.fence ~= fence then
    table.insert(stop, field)
  end
end
flush()
local flat = call('HGETALL', key_held(worker))
if #flat > 0 then call('PEXPIRE', key_held(worker), UNFINISHED_MS) end
for i = 1, #flat, 2 do
  if not named[flat[i]] and now_ms - tonumber(string.match(flat[i + 1], '^%d+') or 0) >= UNHELD_MS then
    local lane, id, fence = split_held(flat[i])
    if release(lane, id, fence, 'unheld') == 'requeued' then bump(lane, 'unheld') end
    unhold(lane, id, fence, worker)
  end
end
flush()
return { stop, missing, lanes, now_ms }
