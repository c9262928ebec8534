-- repair: a verb has met what no verb wrote, and could not go on. From the keys of these names goes what the verbs
-- cannot read: values of another type, fields and members that are not as we write them, rows of jobs that lack what
-- their state needs. What names lead to is looked at as well: the worker of a job, the jobs of a worker.
-- A permanent key of the whole namespace that holds another type stays: it may be another program's.
-- ARGV: n, then n times: name (of a function, lane, worker, client, job, or an address)
-- Replies: two for each key: the key, and what went: all | fields | stays

local LOOKED_AT, FIELDS = 2000, 1000 -- keys of so many names, so many fields or members of each
local names, seen, found = {}, {}, {}

-- Has the keys of a name looked at, in its turn.
local function look_at(name)
  if not name or name == '' or #name > 300 or seen[name] or #names >= LOOKED_AT then return end
  seen[name] = true
  names[#names + 1] = name
end

-- Adds to the reply.
local function tell(key, what)
  found[#found + 1] = key
  found[#found + 1] = what
end

-- Returns whether a key holds another type than the one that a command reads.
local function is_foreign(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  return type(reply) == 'table' and string.find(tostring(reply.err), 'WRONGTYPE', 1, true)
end

local READ_BY = { string = 'STRLEN', hash = 'HLEN', zset = 'ZCARD' }

-- Removes a key that holds another type; returns whether it holds what is ours.
local function is_ours(kind, key)
  local foreign = kind == 'list' and is_foreign('LINDEX', key, '0') or kind ~= 'list' and is_foreign(READ_BY[kind], key)
  if not foreign then return true end
  call('DEL', key)
  tell(key, 'all')
  return false
end

-- Says of a permanent key whether it holds another type. (No user may read the type of a set: docs/acl.md.)
local function is_ours_for_ever(key, ...)
  if not is_foreign(...) then return true end
  tell(key, 'stays')
  return false
end

local function is_number(value) return string.find(value, '^%d+$') and #value <= 16 end

local function is_word(value) return string.find(value, '^%S+$') end

-- Removes fields of a hash that `is_readable` does not know.
local function repair_fields(key, is_readable)
  local flat, gone = call('HRANDFIELD', key, FIELDS, 'WITHVALUES') or {}, 0
  for i = 1, #flat, 2 do
    if not is_readable(flat[i], flat[i + 1]) then gone = gone + call('HDEL', key, flat[i]) end
  end
  if gone > 0 then tell(key, 'fields') end
end

local function repair_hash(key, is_readable)
  if is_ours('hash', key) then repair_fields(key, is_readable) end
end

-- Removes members of a sorted set that `is_readable` does not know, or whose score is no time.
local function repair_members(key, is_readable)
  if not is_ours('zset', key) then return end
  local gone = 0
  for _, range in ipairs({ { '0', text(FIELDS - 1) }, { text(-FIELDS), '-1' } }) do
    local flat = call('ZRANGE', key, range[1], range[2], 'WITHSCORES')
    for i = 1, #flat, 2 do
      local score = tonumber(flat[i + 1])
      if not (score and score >= 0 and score < 1e16 and is_readable(flat[i])) then
        gone = gone + call('ZREM', key, flat[i])
      end
    end
  end
  if gone > 0 then tell(key, 'fields') end
end

local function read_meta(field, value)
  if field == 'idle' then return value == '' or string.find(value, '^%S+ %S+$') end
  return field == 'witness' or field == 'unmet' or field == 'disabled' or field == 'wanted_tags' or is_number(value)
end

local function read_current(field, value)
  local id = string.match(field, '^(.+):%d+$')
  local worker = string.match(value, '^(%S+) %S+ %d+ %d+$')
  look_at(id)
  look_at(worker)
  return id and worker
end

local function read_held(field, value)
  local lane, id = split_held(field)
  look_at(lane)
  look_at(id)
  return lane and function_of(lane) and string.find(value, '^%d+ ')
end

local function read_offer(worker, offer)
  look_at(worker)
  return string.find(offer, '^{"lane":"[^+~!"][^"]*","digest":"%x*","protocol":%d+')
end

local function read_suspect(id, value)
  look_at(id)
  local noted_ms = string.match(value, '^%S+ (%d+)$')
  return noted_ms and is_number(noted_ms)
end

local function read_client(client, row)
  look_at(client)
  local beat = string.match(row, '^(%d+) %S+ protocol:%d+$')
  return beat and is_number(beat)
end

local function read_heartbeat(worker, beat)
  look_at(worker)
  return is_number(beat)
end

local NUMBERS = { 'attempts', 'queued_ms', 'run_ms', 'stamp', 'submitted', 'crashes', 'losses', 'cache', 'missed' }
local WORDS = { 'lane', 'worker', 'slot', 'why', 'address' }

-- Returns whether the verbs can do with the row of a job.
local function is_job(job)
  for _, field in ipairs(NUMBERS) do
    if job[field] and not is_number(job[field]) then return false end
  end
  for _, field in ipairs(WORDS) do
    if job[field] and not is_word(job[field]) then return false end
  end
  if not STATES[job.state] or job.lane and not function_of(job.lane) then return false end
  if job.state ~= 'running' then return not job.fence or is_number(job.fence) end
  return job.fence and is_number(job.fence) and job.worker and (job.stamp or job.submitted)
end

-- A job whose row cannot be read goes: to its client it is missing, and is sent again.
local function repair_job(id)
  if not is_ours('hash', key_job(id)) then return end
  local job = job_of(id)
  if not job then return end
  if not is_job(job) then
    call('DEL', key_job(id))
    tell(key_job(id), 'all')
    return
  end
  look_at(job.worker)
  look_at(job.lane)
  look_at(job.address)
  look_at(owner_of(id))
  for _, client in ipairs(job.waiting) do
    look_at(client)
  end
end

local function repair_function(fn)
  repair_hash(key_offers(fn), read_offer)
  repair_hash(key_lanes(fn), function(lane, code)
    local its = function_of(lane) == fn
    if its then look_at(lane) end
    return its and string.find(code, '^{"protocol":%d+,"digest":"%x*"}$')
  end)
  repair_hash(key_history(fn), function(field) return field == 'mark' or is_number(field) end)
  is_ours('list', key_recent(fn))
  is_ours('hash', key_failures(fn))
  repair_members(key_cached(fn), function(member) return string.find(member, '^%S+ %d+$') end)
end

local function repair_lane(lane)
  if not function_of(lane) then return end
  look_at(function_of(lane))
  repair_hash(key_meta(lane), read_meta)
  is_ours('list', key_queue(lane))
  repair_members(key_queued(lane), function(id)
    look_at(id)
    return is_id(id)
  end)
  repair_hash(key_current(lane), read_current)
end

local function repair_worker(worker)
  repair_hash(key_held(worker), read_held)
  is_ours('list', key_control(worker))
  is_ours('list', key_given(worker))
end

local function repair_all_of(name)
  repair_job(name)
  repair_lane(name)
  repair_function(name)
  repair_worker(name)
  is_ours('list', key_reply(name))
  for _, key in ipairs({ key_call(name), key_result(name), key_join(name), key_kept(name), key_blob(name) }) do
    is_ours('string', key)
  end
end

for _ = 1, number() do
  look_at(arg())
end
is_ours_for_ever(key_functions(), 'SREM', key_functions(), '')
is_ours_for_ever(key_active(), 'ZCARD', key_active())
is_ours_for_ever(key_workers(), 'HLEN', key_workers())
is_ours_for_ever(key_vitals(), 'HLEN', key_vitals())
is_ours_for_ever(key_epoch(), 'STRLEN', key_epoch())
if is_ours_for_ever(key_heartbeats(), 'HLEN', key_heartbeats()) then repair_fields(key_heartbeats(), read_heartbeat) end
if is_ours_for_ever(key_clients(), 'HLEN', key_clients()) then repair_fields(key_clients(), read_client) end
repair_hash(key_suspects(), read_suspect)
repair_hash(key_cached_bytes(), function(_, bytes) return is_number(bytes) end)
repair_members(key_blobs(), function(member) return string.find(member, '^%x+ %d+$') end)
repair_hash(key_pulse(math.floor(minute / 60)), function(_, beats_counted) return is_number(beats_counted) end)
is_ours('hash', key_connections())
is_ours('hash', key_demand())
is_ours('list', key_rollcall())
local at = 1
while names[at] do
  repair_all_of(names[at])
  at = at + 1
end
return found
