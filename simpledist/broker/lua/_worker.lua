-- A worker: its row and its heartbeat, as any verb may ask for them. Whether it is dead is decided in _worker_death.lua.

-- Returns whether a worker's last heartbeat is recent. One ahead of Redis' clock is of a worker that beats again soon
-- (the clock was set back), or of none (somebody wrote it): the first who sees it makes it one of now.
local function fresh(worker, beat)
  local age = now_ms - (tonumber(beat or 0) or 0)
  if age < 0 then call('HSET', key_heartbeats(), worker, now) end
  return age < SILENT_MS
end

local function beats(worker) return fresh(worker, call('HGET', key_heartbeats(), worker)) end

-- A row may be long (a worker of 300 functions): patterns, which are slow, begin where they match.
local function row_names(row, connection) return string.find(row, '"connection":"' .. connection .. '"', 1, true) end

local function row_connection(row)
  local _, last = string.find(row, '"connection":"', 1, true)
  return last and string.match(row, '^[^"]*', last + 1)
end

local function row_slots(row)
  local _, last = string.find(row, '"slots":', 1, true)
  return last and string.match(row, '^%d+', last + 1)
end

local function row_dead(row) return string.match(row, '"dead":(%d+)}$', -24) end

local function row_draining(row) return string.match(row, '"draining":%d+}$', -28) end

-- Returns the row of a worker that may get jobs: if it had no row, or a dead one, its silence would
-- not be noticed, and no one would take its jobs back.
local function registered(worker)
  local row = call('HGET', key_workers(), worker)
  return row and not row_dead(row) and row
end
