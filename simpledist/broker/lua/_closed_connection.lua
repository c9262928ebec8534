-- A closed connection makes its worker or client a suspect: noted once, cleared by any verb of the suspect. After a
-- grace _worker_death.lua and _client.lua judge it.

local function suspect(id, connection)
  local noted = call('HGET', key_suspects(), id)
  if not noted or string.match(noted, '^%S+') ~= connection then
    call('HSET', key_suspects(), id, connection .. ' ' .. now)
    call('PEXPIRE', key_suspects(), CONTROL_MS)
  end
end

-- Judges every suspect whose row still names the closed connection. Returns the ids of the expelled workers, how many
-- clients were forgotten, and 1 if a grace still runs.
local function judge(run_id)
  local expelled, forgotten, closing = {}, 0, 0
  if run_id == '' then return expelled, forgotten, closing end
  local flat = call('HGETALL', key_suspects())
  for i = 1, #flat, 2 do
    local id = flat[i]
    local connection, noted_ms = string.match(flat[i + 1], '^(%S+) (%d+)$')
    local age_ms = now_ms - (tonumber(noted_ms) or 0)
    if age_ms < 0 then call('HSET', key_suspects(), id, connection .. ' ' .. now) end
    local worker, client = registered(id), call('HGET', key_clients(), id)
    local verdict = nil
    if worker and row_connection(worker) == connection then
      verdict = judge_worker(id, worker, connection, age_ms, run_id)
    elseif client and client_connection(client) == connection then
      verdict = judge_client(id, connection, age_ms, run_id)
    else
      call('HDEL', key_suspects(), id)
    end
    if verdict == 'waits' then closing = 1 end
    if verdict == 'expelled' then table.insert(expelled, id) end
    if verdict == 'forgotten' then forgotten = forgotten + 1 end
  end
  return expelled, forgotten, closing
end
