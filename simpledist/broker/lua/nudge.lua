-- nudge: a client lives, asks after its jobs, and mends what it can: the waiting client is the last reaper.
-- ARGV: client connection run_id wish n_jobs (lane id)... n_asked (lane wish)... (asked: what does `live` answer?)
-- Replies: epoch, words (queued | running | missing | what `live` answers where that is not ok | a reply element),
--          answers of `live`...,
--          suspects (id connection)... (workers whose connection this client shall look at; rate-limited), closing(0|1),
--          clients (how many there are), Redis' time in ms

local client, connection, run_id, wish = arg(), arg(), arg(), arg()
call('HDEL', key_suspects(), client)
call('HSET', key_clients(), client, client_row(connection, wish))
wish = read_wish(wish)
local ids, fns, holders, asked = {}, {}, {}, {}
-- What Redis holds of a job knows its lane better than its client, who may have joined it.
for i = 1, number() do
  local fn, id = arg(), arg()
  local worker, lane = unpack(call('HMGET', key_job(id), 'worker', 'lane'))
  fn = lane or fn
  ids[i] = { fn, id, worker }
  fns[fn] = true
end
for i = 1, number() do
  asked[i] = { arg(), read_wish(arg()) }
  fns[asked[i][1]] = true
end

local _, _, closing = judge(run_id)
for _, pair in ipairs(ids) do
  local worker = pair[3]
  if worker and not holders[worker] then
    holders[worker] = true
    local row = call('HGET', key_workers(), worker)
    if row and not row_dead(row) and not fresh(call('HGET', key_heartbeats(), worker)) then expel(worker, row) end
  end
end
-- Where no distributor runs, the clients together forget the dead, a few at a time.
for _, other in ipairs(some_of(key_clients(), 3)) do
  if not client_alive(other) then call('HDEL', key_clients(), other) end
end
for _, worker in ipairs(some_of(key_workers(), 3)) do reap_worker(worker) end

local alive = {}
for fn in pairs(fns) do mend_queue(fn) end
for _, pair in ipairs(ids) do alive[pair[1]] = alive[pair[1]] or live(pair[1], wish) end

flush()
local words = {}
for i, pair in ipairs(ids) do
  local fn, id = pair[1], pair[2]
  local job = job_of(id)
  if not job then
    words[i] = 'missing'
  elseif job.state == 'succeeded' or job.state == 'failed' then
    words[i] = reply_element(id, job)
  elseif job.state == 'cancelled' then
    words[i] = 'missing'
  else
    call('PEXPIRE', key_job(id), UNFINISHED_MS)
    call('PEXPIRE', key_call(id), UNFINISHED_MS)
    if job.address then call('PEXPIRE', key_join(job.address), UNFINISHED_MS) end
    -- Keys may be deleted by hand or evicted: what nobody holds, and what no ledger has, goes back to its queue.
    if job.state == 'running' and not is_held(fn, id, job.fence, job.worker) then
      release(fn, id, job.fence, 'unheld')
      job.state = 'queued'
    elseif job.state == 'queued' and not call('ZSCORE', key_queued(fn), id) then
      requeue(fn, id, job)
    end
    if job.state == 'running' then
      words[i] = 'running'
    else
      words[i] = alive[fn] == 'ok' and 'queued' or alive[fn]
    end
  end
end
local lives = {}
for i, one in ipairs(asked) do lives[i] = live(one[1], one[2]) end

for fn in pairs(fns) do
  call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
  call('PEXPIRE', key_queued(fn), UNFINISHED_MS)
  call('PEXPIRE', key_current(fn), UNFINISHED_MS)
end
local suspects = {}
if run_id ~= '' then
  for fn in pairs(fns) do
    if since(call('HGET', key_meta(fn), 'checked')) >= DUTIES_MS then
      call('HSET', key_meta(fn), 'checked', now)
      keep_meta(fn)
      for _, worker in ipairs(some_of(key_offers(function_of(fn)), SUSPECTS)) do holders[worker] = true end
    end
  end
  for worker in pairs(holders) do
    local row = call('HGET', key_workers(), worker)
    local named = row and not row_dead(row) and row_connection(row)
    if named and string.sub(named, 1, #run_id) == run_id and #suspects < 2 * SUSPECTS then
      table.insert(suspects, worker)
      table.insert(suspects, named)
    end
  end
end
flush()
return { epoch(), words, lives, suspects, closing, call('HLEN', key_clients()), now_ms }
