-- A job: its row, and the ways in which its state changes. Every verb ends, drops or requeues a job here.

local ENDED = { succeeded = true, failed = true, cancelled = true }

local STATES = { queued = true, running = true, succeeded = true, failed = true, cancelled = true }

-- Returns the client whose call a job first was: ids begin with it.
local function owner_of(id) return string.match(id, '^[^-]*') end

-- Returns all that is known of a job.
local function job_of(id)
  local flat = call('HGETALL', key_job(id))
  if #flat == 0 then return nil end
  local job = { waiting = {} }
  for i = 1, #flat, 2 do
    local client = string.match(flat[i], '^waiting:(.+)$')
    if client then
      table.insert(job.waiting, client)
    else
      job[flat[i]] = flat[i + 1]
    end
  end
  -- When a job ends, its fence becomes empty: setting it costs nothing, removing it would be a command more.
  if job.fence == '' then job.fence = nil end
  return job
end

-- Returns what a claim needs to know of a queued job; nil if the job is not queued. A job that several clients wait for
-- is read whole.
local function glance_queued(id)
  local owner = owner_of(id)
  local state, shared, waits, beside, attempts, queued_ms, refused_by = unpack(
    call('HMGET', key_job(id), 'state', 'shared', 'waiting:' .. owner, 'beside', 'attempts', 'queued_ms', 'refused_by')
  )
  if state ~= 'queued' then return nil end
  if shared then return job_of(id) end
  -- stylua: ignore
  return {
    state = state, waiting = waits and { owner } or {}, beside = beside or nil, attempts = attempts or nil,
    queued_ms = queued_ms or nil, refused_by = refused_by or nil,
  }
end

-- Returns what the end of a job needs to know of it; a job that several clients wait for is read whole.
local function glance(id)
  local owner = owner_of(id)
  -- stylua: ignore
  local state, fence, worker, attempts, queued_ms, shared, waits, slot, stamp, submitted, lane, refused_by =
    unpack(call('HMGET', key_job(id), 'state', 'fence', 'worker', 'attempts', 'queued_ms', 'shared',
      'waiting:' .. owner, 'slot', 'stamp', 'submitted', 'lane', 'refused_by'))
  if not state then return nil end
  if shared then return job_of(id) end
  -- stylua: ignore
  return {
    state = state, fence = fence ~= '' and fence or nil, worker = worker or nil, attempts = attempts or nil,
    queued_ms = queued_ms or nil, waiting = waits and { owner } or {}, slot = slot or nil,
    stamp = stamp or nil, submitted = submitted or nil, lane = lane or nil, refused_by = refused_by or nil,
  }
end

-- Returns the bytes of a job's call: '' if they travel apart from the scripts, nil if they are gone.
local function call_bytes(id, job)
  if job.beside then return call('EXISTS', key_call(id)) == 1 and '' or nil end
  return call('GET', key_call(id)) or nil
end

-- Returns when a job was submitted. The stamp of a queued job is in the ledger, and in its row only from its first run
-- on: many jobs wait, and each byte of them counts.
local function time_submitted(lane, id, job)
  local stamp = job.stamp or call('ZSCORE', key_queued(lane), id)
  return job.submitted or stamp and text(math.floor(stamp / 1000)) or now
end

-- Keeps for the page of a job that an attempt is over and the job is not.
local function note_requeued(lane, id, job, how)
  note_attempt(lane, id, job, 'requeued', job.worker, text(now_ms - tonumber(job.fence) / 1000), how)
  local line = string.format('%s %s %.0f %.0f %s;', job.worker, job.slot or '-', job.fence / 1000, now_ms, how)
  call('HSET', key_job(id), 'trail', string.sub((job.trail or '') .. line, -TRAIL_CHARACTERS))
end

-- Puts a job at the head of its list, before everything that the ledger knows: so one number remains both order and
-- age. `how` says what took it from its worker: released, unheld, crashed, lost.
local function requeue(lane, id, job, how) -- rare
  if job.fence then
    unhold(lane, id, job.fence, job.worker)
    note_requeued(lane, id, job, how)
  end
  trim(lane)
  local oldest = call('ZRANGE', key_queued(lane), '0', '0', 'WITHSCORES')
  local stamp = text(oldest[2] and tonumber(oldest[2]) - 1 or stamps(lane, 1))
  call('HDEL', key_job(id), 'fence', 'worker', 'missed', 'stamp')
  call('HSET', key_job(id), 'state', 'queued', 'submitted', time_submitted(lane, id, job))
  call('ZADD', key_queued(lane), stamp, id)
  call('LPUSH', key_queue(lane), stamp .. '.' .. id)
  call('PEXPIRE', key_queued(lane), UNFINISHED_MS)
  call('PEXPIRE', key_queue(lane), UNFINISHED_MS)
  bump(lane, 'requeued')
end

-- Gives a job back to its queue; the attempt does not count: requeued | stale | gone.
local function release(lane, id, fence, how) -- rare
  local job = job_of(id)
  if not job then return 'gone' end
  if job.state ~= 'running' or job.fence ~= fence then return 'stale' end
  call('HSET', key_job(id), 'attempts', math.max(0, tonumber(job.attempts or 1) - 1))
  requeue(lane, id, job, how or 'released')
  return 'requeued'
end

-- Makes sure that no call joins a job that is over.
local function unjoin(id, job) -- rare
  if call('GET', key_join(job.address)) == id then call('DEL', key_join(job.address)) end
end

-- Removes a job that no client waits for.
local function drop(lane, id, job) -- rare
  tally(lane)
  if job and job.address then unjoin(id, job) end
  call('ZREM', key_queued(lane), id)
  if job and job.fence then unhold(lane, id, job.fence, job.worker) end
  call('DEL', key_job(id), key_call(id), key_result(id))
end

-- Returns how a job ended, as one element of a reply list (parsing.py reads it):
-- "id state why worker attempts queued_ms run_ms place\n<bytes>". With a `why` the bytes are what went wrong, in words.
local function reply_text(id, job, place, bytes)
  -- stylua: ignore
  return id .. ' ' .. job.state .. ' ' .. (job.why or '-') .. ' ' .. (job.worker or '-') .. ' '
    .. (job.attempts or '0') .. ' ' .. (job.queued_ms or '0') .. ' ' .. (job.run_ms or '0') .. ' ' .. place .. '\n'
    .. bytes
end

-- Removes from a row what no reply can hold: somebody has written over it. A reply that cannot be read is none, and its
-- client would ask again for ever.
local function make_readable(job)
  for _, field in ipairs({ 'attempts', 'queued_ms', 'run_ms' }) do
    if not string.find(job[field] or '', '^%d+$') or #job[field] > 15 then job[field] = nil end
  end
  for _, field in ipairs({ 'worker', 'why' }) do
    if not string.find(job[field] or '', '^[%w_.:-]+$') then job[field] = nil end
  end
end

-- Returns the same for a job that ended before.
local function reply_element(id, job)
  make_readable(job)
  local place, bytes = 'none', job.why and job.error or ''
  if job.state == 'succeeded' or job.why == nil then
    local size = call('STRLEN', key_result(id))
    if size > INLINE_BYTES then
      place = 'beside'
    elseif size > 0 then
      place, bytes = 'inline', call('GET', key_result(id))
    end
  end
  return reply_text(id, job, place, bytes)
end

-- Ends a job; there is no other way. Frees the ledger and the holder, and tells every client that waits. `result`: the
-- bytes of the outcome ('' if they travel apart from the scripts, or if there are none: `place` says which).
local function finish(lane, id, job, state, fields, place, result)
  if job.state == 'queued' then
    fields.submitted = time_submitted(lane, id, job)
    job.submitted = fields.submitted
    call('ZREM', key_queued(lane), id)
  end
  if job.fence then unhold(lane, id, job.fence, job.worker) end
  call('DEL', key_call(id))
  if job.address then unjoin(id, job) end
  if result ~= '' then call('SET', key_result(id), result, 'PX', ENDED_MS) end
  local how = fields.why or string.find(fields.error or '', '^JobTimeout: timed out') and 'timed_out'
  note_attempt(lane, id, job, state, fields.worker or job.worker, fields.run_ms, how)
  local values = { 'state', state, 'ended', now, 'fence', '' }
  job.state, job.fence = state, nil
  for field, value in pairs(fields) do
    job[field] = value
    values[#values + 1] = field
    values[#values + 1] = value
  end
  call('HSET', key_job(id), unpack(values))
  call('PEXPIRE', key_job(id), ENDED_MS)
  if result == '' and place == 'beside' then call('PEXPIRE', key_result(id), ENDED_MS) end
  local element = reply_text(id, job, place, place == 'inline' and result or fields.why and fields.error or '')
  for _, client in ipairs(job.waiting) do
    gather('RPUSH', key_reply(client), element)
    lives_on[key_reply(client)] = ENDED_MS
  end
  bump(lane, state)
end

-- Keeps for people a failure that the cluster caused; names the worker that refused the job.
local function note_trouble(lane, id, why, error, refuser)
  local place = string.gsub(string.sub(error, 1, 100), '%d+', '#')
  note_failure(lane, id, why, refuser and refuser .. ': ' .. place or place, '')
end

-- Ends a job with "run it at the client"; `why` is a word of reasons.Why.
local function give_up(lane, id, job, why, error, refuser) -- rare
  finish(lane, id, job, 'failed', { why = why, error = error or '' }, 'none', '')
  bump(lane, why)
  note_trouble(lane, id, why, error or '', refuser)
end

-- Takes a job from a worker that has vanished (`lost`), or of which Redis has lost that it holds the job (`unheld`). A
-- job at the cap is itself under suspicion, or would never come to its end: its client runs it.
local function lose(lane, id, fence, how) -- rare
  local job = job_of(id)
  if not job or job.fence ~= fence then return end
  local losses = call('HINCRBY', key_job(id), 'losses', '1')
  if losses >= LOSS_CAP then
    give_up(lane, id, job, 'lost', losses .. ' workers that ran it vanished, or Redis lost that they held it')
  else
    requeue(lane, id, job, how)
  end
end
