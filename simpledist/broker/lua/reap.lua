-- reap: what anybody may do at any time, any number of times: expel dead workers, forget dead clients, push back what
-- was popped and never claimed, drop what no client waits for. Every candidate is judged again, by Redis TIME,
-- in _worker_death.lua and _client.lua.
-- ARGV: run_id n_workers (id closed_connection|'')... n_clients (id closed_connection|'')...
--       n_functions functions... (all lanes of each) n_orphans (lane id)...
-- Replies: expelled ids, forgotten clients, requeued, dropped, closing(0|1)

local run_id = arg()
call('HDEL', key_suspects(), '')
local expelled, forgotten, requeued, dropped = {}, 0, 0, 0
for _ = 1, number() do
  local worker, connection = arg(), arg()
  if reap_worker(worker) then
    table.insert(expelled, worker)
  elseif connection ~= '' then
    suspect(worker, connection)
  end
end
for _ = 1, number() do
  local client, connection = arg(), arg()
  if forget_if_silent(client) then
    forgotten = forgotten + 1
  elseif connection ~= '' then
    suspect(client, connection)
  end
end
local judged, clients_judged, closing = judge(run_id)
for _, worker in ipairs(judged) do
  table.insert(expelled, worker)
end
for _ = 1, number() do
  local fn = arg()
  requeued = requeued + repair_queue(fn)
  for _, lane in ipairs(call('HKEYS', key_lanes(fn))) do
    if lane ~= fn then requeued = requeued + repair_queue(lane) end
  end
end
for _ = 1, number() do
  local lane, id = arg(), arg()
  if drop_orphan(lane, id) then dropped = dropped + 1 end
end
flush()
return { expelled, forgotten + clients_judged, requeued, dropped, closing }
