-- A client: its row, whether it is alive, and what becomes of jobs that no living client waits for. Nothing else
-- decides that a job is an orphan, or that a client is dead.

-- Returns a client's row: the time of its last sign of life, its connection, and the protocol that it speaks.
local function client_row(connection, protocol) return now .. ' ' .. connection .. ' protocol:' .. protocol end

local function client_connection(row) return string.match(row, '^%d+ (%S+)') end

local function client_alive(client)
  local row = call('HGET', key_clients(), client)
  if not row then return false end
  local age = now_ms - tonumber(string.match(row, '^%d+') or 0)
  -- Ahead of Redis' clock: as a heartbeat that is (_worker.lua).
  if age < 0 then call('HSET', key_clients(), client, now .. string.match(row, '^%d+(.*)')) end
  return age < SILENT_CLIENT_MS
end

-- Notes what waits or runs at a client for want of a worker ('-': nothing any more): functions that no worker ever
-- offered become known by it.
local function note_demand(client, demand)
  if demand == '-' then
    call('HDEL', key_demand(), client)
  elseif demand ~= '' then
    call('HSET', key_demand(), client, '{"at":' .. now .. ',"functions":' .. demand .. '}')
    call('PEXPIRE', key_demand(), CONTROL_MS)
    for fn in string.gmatch(demand, '"([^"]+)":{') do
      call('SADD', key_functions(), fn)
    end
  end
end

-- Removes the row of a client, and what is demanded at it; returns whether it was there.
local function forget_client(client)
  call('HDEL', key_demand(), client)
  return call('HDEL', key_clients(), client) == 1
end

-- Removes the row of a client that has been silent for too long; returns whether it was there.
local function forget_if_silent(client) return not client_alive(client) and forget_client(client) end

-- Removes the row of a client whose connection is closed, once the grace is over: 'waits', 'forgotten', or 'other_run'
-- if another run of Redis had noted the connection.
local function judge_client(client, connection, age_ms, run_id)
  if age_ms < CLOSED_CLIENT_MS then return 'waits' end
  if string.sub(connection, 1, #run_id) ~= run_id then return 'other_run' end
  call('HDEL', key_suspects(), client)
  forget_client(client)
  return 'forgotten'
end

local known_alive = {}
-- Returns whether no living client waits for a job.
local function is_orphan(job)
  for _, client in ipairs(job.waiting) do
    if known_alive[client] == nil then known_alive[client] = client_alive(client) end
    if known_alive[client] then return false end
  end
  return true
end

-- Drops a queued job if it is an orphan; returns whether it was one. `lane`: where the caller saw it.
local function drop_orphan(lane, id)
  local job = job_of(id)
  if not job then
    call('ZREM', key_queued(lane), id)
    return false
  end
  if job.state ~= 'queued' or not is_orphan(job) then return false end
  drop(job.lane or lane, id, job)
  return true
end
