-- reap: what anybody may do at any time, any number of times: expel dead workers, forget dead clients, push back what
-- was popped and never claimed, drop what nobody waits for. Every candidate is judged again here, by Redis TIME.
-- ARGV: run_id n_workers (id closed_connection|'')... n_clients (id closed_connection|'')...
--       n_functions functions... (all lanes of each) n_orphans (lane id)...
-- Replies: expelled ids, forgotten clients, requeued, dropped, closing(0|1)

local run_id = arg()
call('HDEL', key_suspects(), '')
local expelled = {}
for _ = 1, number() do
  local id, connection = arg(), arg()
  if reap_worker(id) then
    table.insert(expelled, id)
  elseif connection ~= '' then
    suspect(id, connection)
  end
end
local forgotten = 0
for _ = 1, number() do
  local id, connection = arg(), arg()
  if call('HEXISTS', key_clients(), id) == 1 and not client_alive(id) then
    call('HDEL', key_clients(), id)
    forgotten = forgotten + 1
  elseif connection ~= '' then
    suspect(id, connection)
  end
end
local judged, gone, closing = judge(run_id)
for _, id in ipairs(judged) do table.insert(expelled, id) end
local requeued = 0
for _ = 1, number() do
  local fn = arg()
  requeued = requeued + mend_queue(fn)
  for _, lane in ipairs(call('HKEYS', key_lanes(fn))) do
    if lane ~= fn then requeued = requeued + mend_queue(lane) end
  end
end
local dropped = 0
for _ = 1, number() do
  local fn, id = arg(), arg()
  local job = job_of(id)
  if job then fn = job.lane or fn end
  if not job then
    call('ZREM', key_queued(fn), id)
  elseif job.state == 'queued' and not anyone_waits(job) then
    drop(fn, id, job)
    dropped = dropped + 1
  end
end
flush()
return { expelled, forgotten + gone, requeued, dropped, closing }
