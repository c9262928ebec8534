-- nudge: a client lives, asks about its jobs, and repairs what it can: the waiting client is the last reaper.
-- ARGV: client connection run_id wish n_jobs (lane id)... n_asked (lane wish)... (asked: what does `live` answer?)
--       demand (JSON: what waits or runs at this client for want of a worker; '-': nothing any more; '': nothing to say)
-- Replies: epoch, words (queued | running | missing | what `live` answers where that is not ok | a reply element),
--          answers of `live`...,
--          suspects (id connection)... (workers whose connection this client shall look at; rate-limited), closing(0|1),
--          clients (how many there are), Redis' time in ms

local client, connection, run_id, asked_wish = arg(), arg(), arg(), arg()
local wish = read_wish(asked_wish)
call('HDEL', key_suspects(), client)
call('HSET', key_clients(), client, client_row(connection, wish.speaks))
local jobs, lanes, holders, asked = {}, {}, {}, {}
for i = 1, number() do
  local lane, id = arg(), arg()
  -- Redis knows the lane of a job better than its client, who may have joined it.
  local worker, its_lane = unpack(call('HMGET', key_job(id), 'worker', 'lane'))
  jobs[i] = { lane = its_lane or lane, id = id, worker = worker }
  lanes[jobs[i].lane] = true
end
for i = 1, number() do
  asked[i] = { lane = arg(), wish = read_wish(arg()) }
  lanes[asked[i].lane] = true
end

note_demand(client, arg())

local _, _, closing = judge(run_id)
for _, one in ipairs(jobs) do
  if one.worker and not holders[one.worker] then
    holders[one.worker] = true
    expel_if_silent(one.worker)
  end
end
-- If no distributor runs, the clients together forget the dead, a few at a time.
for _, other in ipairs(some_of(key_clients(), 3)) do
  forget_if_silent(other)
end
for _, worker in ipairs(some_of(key_workers(), 3)) do
  reap_worker(worker)
end

local alive = {}
for lane in pairs(lanes) do
  repair_queue(lane)
end
for _, one in ipairs(jobs) do
  if not alive[one.lane] then alive[one.lane] = live(one.lane, wish) end
end
flush()

-- Returns a job, put back into its queue if nothing has it: keys may be evicted, or deleted by hand. In an
-- unknown state it would never end.
local function repaired(lane, id)
  local job = job_of(id)
  if job and not STATES[job.state] then
    call('DEL', key_job(id))
    return nil
  end
  if job and job.state == 'running' and not is_held(lane, id, job.fence, job.worker) then
    lose(lane, id, job.fence, 'unheld')
    return job_of(id)
  end
  if job and job.state == 'queued' and not call('ZSCORE', key_queued(lane), id) then requeue(lane, id, job) end
  return job
end

-- Renews what a living job needs.
local function keep_alive(id, job)
  call('PEXPIRE', key_job(id), UNFINISHED_MS)
  call('PEXPIRE', key_call(id), UNFINISHED_MS)
  if job.address then call('PEXPIRE', key_join(job.address), UNFINISHED_MS) end
end

local words, lives = {}, {}
for i, one in ipairs(jobs) do
  local job = repaired(one.lane, one.id)
  if not job or job.state == 'cancelled' then
    words[i] = 'missing'
  elseif ENDED[job.state] then
    words[i] = reply_element(one.id, job)
  else
    keep_alive(one.id, job)
    words[i] = alive[one.lane] == 'ok' and 'queued' or alive[one.lane]
    if job.state == 'running' then words[i] = 'running' end
  end
end
for i, one in ipairs(asked) do
  lives[i] = live(one.lane, one.wish)
end

for lane in pairs(lanes) do
  call('PEXPIRE', key_queue(lane), UNFINISHED_MS)
  call('PEXPIRE', key_queued(lane), UNFINISHED_MS)
  call('PEXPIRE', key_current(lane), UNFINISHED_MS)
end

local suspects = {}
if run_id ~= '' then
  for lane in pairs(lanes) do
    if since(call('HGET', key_meta(lane), 'checked')) >= DUTIES_MS then
      call('HSET', key_meta(lane), 'checked', now)
      keep_meta(lane)
      for _, worker in ipairs(some_of(key_offers(function_of(lane)), SUSPECTS)) do
        holders[worker] = true
      end
    end
  end
  for worker in pairs(holders) do
    local row = registered(worker)
    local named = row and row_connection(row)
    if named and string.sub(named, 1, #run_id) == run_id and #suspects < 2 * SUSPECTS then
      table.insert(suspects, worker)
      table.insert(suspects, named)
    end
  end
end
flush()
return { epoch(), words, lives, suspects, closing, call('HLEN', key_clients()), now_ms }
