-- Stands before every verb. Above it, scripts.py renders: ns, key_*() for each key template, the timings and caps
-- of policy.py as capitals, and now_us (Redis TIME: no process's clock ever counts).
--
-- Out-of-memory rule (redis script.c, scriptVerifyOOM): Redis refuses only the *first* memory-taking write of a script.
-- `submit` therefore begins with its largest write, to be refused whole; every other verb begins with a freeing write,
-- so that results, beats and cancels go through while Redis is full.

local call = redis.call
local now_ms = math.floor(now_us / 1000)

local cursor = 0
local function arg() cursor = cursor + 1; return ARGV[cursor] end
local function number() return tonumber(arg()) end
-- Lua prints 14 digits by itself; a stamp has 16.
local function text(n) return string.format('%.0f', n) end

local ended = { succeeded = true, failed = true, cancelled = true }

local function epoch()
  local value = call('GET', key_epoch())
  if not value then
    value = text(now_us)
    call('SET', key_epoch(), value)
  end
  return value
end

-- The first of n stamps: microseconds of Redis TIME, strictly rising per function, never used twice.
local function stamps(fn, n)
  local first = now_us
  local last = tonumber(call('HGET', key_meta(fn), 'stamp') or 0)
  if last >= first then first = last + 1 end
  call('HSET', key_meta(fn), 'stamp', text(first + n - 1))
  return first
end

local function split_element(element)
  local stamp, id = string.match(element, '^(%d+)%.(.+)$')
  return tonumber(stamp), id
end

-- How long ago; after a step back of the clock nothing waits for the time to come again.
local function since(then_ms)
  local age = now_ms - tonumber(then_ms or 0)
  return age < 0 and math.huge or age
end

local function split_held(field) return string.match(field, '^(.+):([^:]+):(%d+)$') end

local function job_of(id)
  local flat = call('HGETALL', key_job(id))
  if #flat == 0 then return nil end
  local job = { waiting = {} }
  for i = 1, #flat, 2 do
    local client = string.match(flat[i], '^waiting:(.+)$')
    if client then table.insert(job.waiting, client) else job[flat[i]] = flat[i + 1] end
  end
  return job
end

local function client_alive(client)
  local row = call('HGET', key_clients(), client)
  if not row then return false end
  return now_ms - tonumber(string.match(row, '^%d+')) < SILENT_CLIENT_MS
end

local function anyone_waits(job)
  for _, client in ipairs(job.waiting) do
    if client_alive(client) then return true end
  end
  return false
end

local function fresh(beat) return beat and now_ms - tonumber(beat) < SILENT_MS end

-- Whether a live worker offers fn. The worker found alive last time is asked first: one read in the usual case.
local function live(fn)
  local witness = call('HGET', key_meta(fn), 'witness')
  if witness and call('HEXISTS', key_offers(fn), witness) == 1
    and fresh(call('HGET', key_heartbeats(), witness)) then return true end
  local workers = call('HKEYS', key_offers(fn))
  for first = 1, #workers, 100 do
    local last = math.min(first + 99, #workers)
    local beats = call('HMGET', key_heartbeats(), unpack(workers, first, last))
    for i, beat in ipairs(beats) do
      if fresh(beat) then
        call('HSET', key_meta(fn), 'witness', workers[first + i - 1])
        return true
      end
    end
  end
  return false
end

local function bump(fn, counter, n) call('HINCRBY', key_meta(fn), counter, n or 1) end

local function unhold(fn, id, fence, worker)
  call('HDEL', key_held(worker), fn .. ':' .. id .. ':' .. fence)
  call('HDEL', key_current(fn), id .. ':' .. fence)
end

-- Pops what the ledger does not know from the head of the list: claimed otherwise, cancelled, or foreign. Returns the
-- stamp of the first element that it knows (nil: none), and false where there may be more to pop.
local function trim(fn)
  for _ = 1, BATCH_ITEMS do
    local element = call('LINDEX', key_queue(fn), 0)
    if not element then return nil, true end
    local stamp, id = split_element(element)
    local score = id and call('ZSCORE', key_queued(fn), id)
    if score and tonumber(score) == stamp then return stamp, true end
    call('LPOP', key_queue(fn))
  end
  return nil, false
end

-- Back to the head of its list, before everything that the ledger knows: order and age stay one number.
local function requeue(fn, id, job)
  if job.fence then unhold(fn, id, job.fence, job.worker) end
  trim(fn)
  local oldest = call('ZRANGE', key_queued(fn), 0, 0, 'WITHSCORES')
  local stamp = text(oldest[2] and tonumber(oldest[2]) - 1 or stamps(fn, 1))
  call('HDEL', key_job(id), 'fence', 'worker', 'missed')
  call('HSET', key_job(id), 'state', 'queued', 'stamp', stamp)
  call('ZADD', key_queued(fn), stamp, id)
  call('LPUSH', key_queue(fn), stamp .. '.' .. id)
  call('PEXPIRE', key_queued(fn), UNFINISHED_MS)
  call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
  bump(fn, 'requeued')
end

-- Forget a job that nobody waits for.
local function drop(fn, id, job)
  call('ZREM', key_queued(fn), id)
  if job and job.fence then unhold(fn, id, job.fence, job.worker) end
  call('DEL', key_job(id), key_data(id), key_beside_call(id), key_beside_result(id))
end

-- How a job ended, as one element of a reply list: "id state why worker attempts queued_ms run_ms place\n<bytes>".
local function reply_element(id, job)
  local place, bytes = 'none', ''
  if job.state == 'succeeded' or job.why == nil then
    if call('EXISTS', key_beside_result(id)) == 1 then
      place = 'beside'
    else
      local size = call('HSTRLEN', key_data(id), 'result')
      if size > INLINE_BYTES then
        place = 'hash'
      elseif size > 0 then
        place, bytes = 'inline', call('HGET', key_data(id), 'result')
      end
    end
  end
  return table.concat({ id, job.state, job.why or '-', job.worker or '-', job.attempts or '0',
    job.queued_ms or '0', job.run_ms or '0', place }, ' ') .. '\n' .. bytes
end

-- The one way to an end: frees the ledger and the holder, tells every client that waits.
local function finish(fn, id, job, state, fields)
  call('ZREM', key_queued(fn), id)
  if job.fence then unhold(fn, id, job.fence, job.worker) end
  call('DEL', key_beside_call(id))
  call('HDEL', key_job(id), 'fence', 'missed')
  local values = { 'state', state, 'ended', text(now_ms) }
  job.state, job.fence = state, nil
  for field, value in pairs(fields) do
    job[field] = value
    table.insert(values, field)
    table.insert(values, value)
  end
  call('HSET', key_job(id), unpack(values))
  call('PEXPIRE', key_job(id), ENDED_MS)
  call('HDEL', key_data(id), 'call')
  call('PEXPIRE', key_data(id), ENDED_MS)
  call('PEXPIRE', key_beside_result(id), ENDED_MS)
  local element = reply_element(id, job)
  for _, client in ipairs(job.waiting) do
    call('RPUSH', key_reply(client), element)
    call('PEXPIRE', key_reply(client), ENDED_MS)
  end
  bump(fn, state)
end

-- Ends as "run it at the client": why is a word of job.Why.
local function give_up(fn, id, job, why, error)
  finish(fn, id, job, 'failed', { why = why, error = error or '' })
  bump(fn, why)
end

local function row_connection(row) return string.match(row, '"connection":"([^"]*)"') end
local function row_dead(row) return string.match(row, '"dead":(%d+)') end

-- The offers of a worker are in its row: names hold neither quotes nor brackets (job.NAME).
local function withdraw_offers(worker, row)
  for fn in string.gmatch(string.match(row, '"functions":%[([^%]]*)%]') or '', '"([^"]+)"') do
    call('HDEL', key_offers(fn), worker)
  end
end

-- A worker without a row, or with a dead one, gets no jobs: nobody would miss it, so nobody would take them back.
local function registered(worker)
  local row = call('HGET', key_workers(), worker)
  return row and not row_dead(row)
end

local function hold(fn, id, fence, worker, slot, attempt, nonce)
  call('HSET', key_current(fn), id .. ':' .. fence, table.concat({ worker, slot, attempt, text(now_ms) }, ' '))
  call('HSET', key_held(worker), fn .. ':' .. id .. ':' .. fence, text(now_ms) .. ' ' .. nonce)
  call('PEXPIRE', key_current(fn), UNFINISHED_MS)
  call('PEXPIRE', key_held(worker), UNFINISHED_MS)
end

-- The call's bytes: '' where they lie beside, nil where they are gone.
local function call_bytes(id)
  local bytes = call('HGET', key_data(id), 'call')
  if not bytes then return nil end
  if bytes == '' and call('EXISTS', key_beside_call(id)) == 0 then return nil end
  return bytes
end

local function append_claimed(out, fn, id, fence, slot, attempt, queued_ms, bytes)
  for _, value in ipairs({ fn, id, fence, slot, attempt, queued_ms, bytes }) do table.insert(out, value) end
  return #bytes
end

-- One list element becomes one running job, or nothing: stale element, nobody waits, bytes gone, too many attempts.
local function claim_element(fn, element, worker, nonce, slot, out)
  local stamp, id = split_element(element)
  local score = id and call('ZSCORE', key_queued(fn), id)
  if not score or tonumber(score) ~= stamp then return nil end
  call('ZREM', key_queued(fn), id)
  local job = job_of(id)
  if not job or job.state ~= 'queued' then return nil end
  local bytes = call_bytes(id)
  if not bytes or not anyone_waits(job) then
    drop(fn, id, job)
    return nil
  end
  local attempt = tonumber(job.attempts or 0) + 1
  if attempt > ATTEMPT_CAP then
    give_up(fn, id, job, 'lost', 'no outcome after ' .. ATTEMPT_CAP .. ' attempts')
    return nil
  end
  local fence = text(stamps(fn, 1))
  local queued_ms = text(math.max(0, now_ms - math.floor(stamp / 1000)))
  call('HSET', key_job(id), 'state', 'running', 'fence', fence, 'worker', worker, 'attempts', attempt,
    'queued_ms', queued_ms)
  call('HDEL', key_job(id), 'missed')
  call('PEXPIRE', key_job(id), UNFINISHED_MS)
  call('PEXPIRE', key_data(id), UNFINISHED_MS)
  hold(fn, id, fence, worker, slot, attempt, nonce)
  return append_claimed(out, fn, id, fence, slot, text(attempt), queued_ms, bytes)
end

-- Jobs for each slot left, straight from the list; stops at BATCH_BYTES of calls.
local function take(fn, worker, nonce, slots, filled, size, out)
  for _ = 1, BATCH_ITEMS do
    if filled >= #slots or size > BATCH_BYTES then return end
    local element = call('LPOP', key_queue(fn))
    if not element then return end
    local bytes = claim_element(fn, element, worker, nonce, slots[filled + 1], out)
    if bytes then filled, size = filled + 1, size + bytes end
  end
end

-- A verb sent again gives the same jobs again, as far as they are still in the worker's hands.
local function repeat_claims(worker, nonce, out)
  local flat = call('HGETALL', key_held(worker))
  for i = 1, #flat, 2 do
    if string.match(flat[i + 1], ' (.+)$') == nonce then
      local fn, id, fence = split_held(flat[i])
      local job, bytes = job_of(id), call_bytes(id)
      local current = call('HGET', key_current(fn), id .. ':' .. fence)
      if job and job.fence == fence and bytes and current then
        local slot = string.match(current, '^%S+ (%S+)')
        append_claimed(out, fn, id, fence, slot, job.attempts, job.queued_ms, bytes)
      end
    end
  end
end

local function read_slots()
  local slots = {}
  for i = 1, number() do slots[i] = arg() end
  return slots
end

-- Back to its queue, blaming nobody.
local function release(fn, id, fence)
  local job = job_of(id)
  if not job then return 'gone' end
  if job.state ~= 'running' or job.fence ~= fence then return 'stale' end
  call('HSET', key_job(id), 'attempts', math.max(0, tonumber(job.attempts or 1) - 1))
  requeue(fn, id, job)
  return 'requeued'
end
