-- What a script counts: kept in a table while it runs and written once for each function at the end (`flush_tallies`),
-- so that a batch of a hundred jobs costs hardly more than one. An event is counted by the verb that makes it happen
-- and by no other: any number of distributors may run, or none.
--
-- Counters only rise; they are in meta:<function>. When the first event of a new minute comes, what the last minute
-- added goes as a row into history:<function>, a ring of HISTORY_MINUTES; its field `mark` holds the counters as of
-- that row. Fields of the meta that are no counters: NOT_COUNTED (keys.py).

local tallies = {}

-- Returns what is counted of a function in this script. Also marks the function as changed: readers look again at what
-- `active` names. All lanes of a function count as one.
local function tally(lane)
  local fn = function_of(lane)
  local one = tallies[fn]
  if not one then
    one = { counts = {}, gauges = {}, recent = {}, failures = {} }
    tallies[fn] = one
  end
  return one
end

local function bump(lane, counter, n)
  local counts = tally(lane).counts
  counts[counter] = (counts[counter] or 0) + (tonumber(n or 1) or 0)
end

-- Returns the number of the first bound that ms does not exceed; one more than there are if it exceeds them all.
local function bucket(ms)
  local low, high = 1, #BOUNDS_MS + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if ms <= BOUNDS_MS[middle] then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Counts a duration under `run` or `wait`: its sum, and its place in the histogram. `n`: how many took it together.
local function count_ms(lane, what, ms, n)
  ms = tonumber(ms) or 0
  if ms > 0 then bump(lane, what .. '_ms', ms) end
  bump(lane, what .. ':' .. bucket(ms / (n or 1)), n)
end

-- Counts calls that came to their outcome on a worker; a job may hold many (a batch).
local function count_calls(lane, returned, raised, run_ms)
  if returned > 0 then bump(lane, 'returned', returned) end
  if raised > 0 then bump(lane, 'raised', raised) end
  if returned + raised > 0 then count_ms(lane, 'run', run_ms, returned + raised) end
end

local function gauge(lane, name, value)
  if value > 0 then tally(lane).gauges[name] = value end
end

-- Returns the line of an attempt that is over: for the list of recent ones, and for the page of a job whose keys are
-- gone. `how`: a state, or requeued.
local function attempt_line(id, job, how, worker, run_ms, why)
  local mine = job.fence and job.worker == worker
  -- Stamps are text, and milliseconds are their digits but the last three.
  local claimed = mine and string.sub(job.fence, 1, -4) or text(now_ms - (tonumber(run_ms) or 0))
  -- stylua: ignore
  return id .. ' ' .. how .. ' ' .. (worker or '-') .. ' ' .. (mine and job.slot or '-') .. ' ' .. (job.attempts or '0')
    .. ' ' .. (job.submitted or string.sub(job.stamp, 1, -4)) .. ' ' .. claimed .. ' ' .. now .. ' ' .. (run_ms or '0')
    .. ' ' .. (why or '-')
end

local function note_attempt(lane, ...) table.insert(tally(lane).recent, attempt_line(...)) end

-- Adds a failure to its group: what failed (a type, a word of reasons.Why) and where. One text is kept for the whole group.
local function note_failure(lane, id, kind, place, told, n)
  local groups = tally(lane).failures
  local field = string.sub(kind .. ' ' .. place, 1, 200)
  local group = groups[field] or { times = 0, told = told }
  group.times, group.id = group.times + (n or 1), id
  groups[field] = group
end

local function packed(values)
  local words = {}
  for name, value in pairs(values) do
    table.insert(words, string.format('%s=%.0f', name, value))
  end
  return table.concat(words, ' ')
end

-- Closes the row of a minute that is over: what it added goes into the history, and `minute` names the new one.
-- `counting`: the minute that the meta names so far.
local function roll(fn, counting) -- rare
  local meta, history = key_meta(fn), key_history(fn)
  local totals, gauges = {}, {}
  local flat = call('HGETALL', meta)
  for i = 1, #flat, 2 do
    local name, value = flat[i], tonumber(flat[i + 1])
    if string.sub(name, 1, 4) == 'max_' then
      gauges[name] = value
      call('HDEL', meta, name)
    elseif value and not NOT_COUNTED[name] then
      totals[name] = value
    end
  end
  local mark = call('HGET', history, 'mark')
  if counting and mark then
    local row = gauges
    for name, value in pairs(totals) do
      row[name] = value
    end
    for name, value in string.gmatch(mark, '(%S+)=(%d+)') do
      if row[name] then row[name] = row[name] > tonumber(value) and row[name] - tonumber(value) or nil end
    end
    call('HSET', history, counting % HISTORY_MINUTES, counting .. ' ' .. packed(row))
  end
  call('HSET', history, 'mark', packed(totals))
  call('PEXPIRE', history, HISTORY_MINUTES * 60000)
  call('PEXPIRE', key_recent(fn), HISTORY_MINUTES * 60000)
  call('HSET', meta, 'minute', minute)
end

-- Keeps the newest attempts: at least RECENT_CAP of them, because the list is trimmed only now and then. Its TTL is
-- renewed once a minute, by `roll`.
local function flush_recent(fn, attempts)
  local first = math.max(1, #attempts - RECENT_CAP + 1)
  local length = call('LPUSH', key_recent(fn), unpack(attempts, first))
  if length > RECENT_CAP + RECENT_SPARE then call('LTRIM', key_recent(fn), '0', text(RECENT_CAP - 1)) end
  if length <= #attempts then call('PEXPIRE', key_recent(fn), HISTORY_MINUTES * 60000) end
end

-- Writes groups of failures: "<times> <first ms> <last ms> <last job>\n<text>".
local function flush_failures(fn, groups) -- rare
  local key = key_failures(fn)
  for field, group in pairs(groups) do
    local old = call('HGET', key, field)
    if not old and call('HLEN', key) >= FAILURES_CAP then
      field, group.told = 'others -', ''
      old = call('HGET', key, field)
    end
    local times, first, told = string.match(old or '', '^(%d+) (%d+) %d+ %S+\n(.*)$')
    local head = string.format('%.0f %s %s %s', (times or 0) + group.times, first or now, now, group.id)
    call('HSET', key, field, head .. '\n' .. (told or group.told))
  end
  call('PEXPIRE', key, HISTORY_MINUTES * 60000)
end

local function flush_tallies()
  local changed = {}
  for fn, one in pairs(tallies) do
    local meta = key_meta(fn)
    if next(one.counts) or next(one.gauges) then
      local counting = call('HGET', meta, 'minute')
      if tonumber(counting or 0) ~= minute then roll(fn, counting) end
    end
    for counter, n in pairs(one.counts) do
      call('HINCRBY', meta, counter, string.format('%.0f', n))
    end
    for name, value in pairs(one.gauges) do
      if value > tonumber(call('HGET', meta, name) or 0) then call('HSET', meta, name, value) end
    end
    if #one.recent > 0 then flush_recent(fn, one.recent) end
    if next(one.failures) then flush_failures(fn, one.failures) end
    table.insert(changed, now_us_text)
    table.insert(changed, fn)
  end
  for first = 1, #changed, 1000 do
    call('ZADD', key_active(), unpack(changed, first, math.min(first + 999, #changed)))
  end
  tallies = {}
end
