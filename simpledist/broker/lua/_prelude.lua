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

-- Back to the head of its list, before everything that the ledger knows: order and age stay one number.
local function requeue(fn, id, job)
  if job.fence then unhold(fn, id, job.fence, job.worker) end
  local head = call('LINDEX', key_queue(fn), 0)
  local stamp = head and split_element(head)
  local oldest = call('ZRANGE', key_queued(fn), 0, 0, 'WITHSCORES')
  if oldest[2] and (not stamp or tonumber(oldest[2]) < stamp) then stamp = tonumber(oldest[2]) end
  stamp = text(stamp and stamp - 1 or stamps(fn, 1))
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

-- Popped and never claimed: whatever in the ledger is older than the head of the list. Found in O(log n) a job.
local function mend_queue(fn)
  local meta, queue, queued = key_meta(fn), key_queue(fn), key_queued(fn)
  if now_ms - tonumber(call('HGET', meta, 'reaped') or 0) < DUTIES_MS then return 0 end
  call('HDEL', meta, 'reaped')
  call('HSET', meta, 'reaped', text(now_ms))
  if call('ZCARD', queued) == 0 then
    call('DEL', queue)
    return 0
  end
  local head
  for _ = 1, 100 do
    local element = call('LINDEX', queue, 0)
    if not element then break end
    local stamp, id = split_element(element)
    local score = id and call('ZSCORE', queued, id)
    if score and tonumber(score) == stamp then
      head = stamp
      break
    end
    call('LPOP', queue)
  end
  if not head and call('EXISTS', queue) == 1 then return 0 end
  local lost = call('ZRANGEBYSCORE', queued, '-inf', head and '(' .. text(head) or '+inf', 'LIMIT', 0, 100)
  local requeued = 0
  for i = #lost, 1, -1 do
    local id = lost[i]
    local job = job_of(id)
    if not job or job.state ~= 'queued' then
      call('ZREM', queued, id)
    elseif not job.missed then
      call('HSET', key_job(id), 'missed', text(now_ms))
    elseif now_ms - tonumber(job.missed) >= UNCLAIMED_MS then
      requeue(fn, id, job)
      bump(fn, 'lost_pops')
      requeued = requeued + 1
    end
  end
  return requeued
end

local function row_connection(row) return string.match(row, '"connection":"([^"]*)"') end
local function row_dead(row) return string.match(row, '"dead":(%d+)') end

-- The offers of a worker are in its row: names hold neither quotes nor brackets (job.NAME).
local function withdraw_offers(worker, row)
  for fn in string.gmatch(string.match(row, '"functions":%[([^%]]*)%]') or '', '"([^"]+)"') do
    call('HDEL', key_offers(fn), worker)
  end
end

-- A worker is dead: its jobs go back, with one loss each; at the cap they are suspects themselves.
local function expel(worker, row)
  call('HDEL', key_suspects(), worker)
  withdraw_offers(worker, row)
  for _, field in ipairs(call('HKEYS', key_held(worker))) do
    local fn, id, fence = split_held(field)
    local job = job_of(id)
    if job and job.fence == fence then
      local losses = call('HINCRBY', key_job(id), 'losses', 1)
      if losses >= LOSS_CAP then
        give_up(fn, id, job, 'lost', losses .. ' workers vanished while they ran it')
      else
        requeue(fn, id, job)
      end
    end
    call('HDEL', key_current(fn), id .. ':' .. fence)
  end
  call('DEL', key_held(worker), key_control(worker))
  call('HSET', key_workers(), worker, string.sub(row, 1, -2) .. ',"dead":' .. text(now_ms) .. '}')
end

-- Expels a silent worker (true), and forgets one that has been dead for long.
local function reap_worker(worker)
  local row = call('HGET', key_workers(), worker)
  if not row then
    call('HDEL', key_heartbeats(), worker)
    return false
  end
  local dead = row_dead(row)
  if dead and now_ms - tonumber(dead) >= FORGET_WORKER_MS then
    call('HDEL', key_workers(), worker)
    call('HDEL', key_heartbeats(), worker)
  elseif not dead and not fresh(call('HGET', key_heartbeats(), worker)) then
    expel(worker, row)
    return true
  end
  return false
end

-- A closed connection is a suspicion: noted once, cleared by any beat, acted upon after its grace.
local function suspect(id, connection)
  local noted = call('HGET', key_suspects(), id)
  if not noted or string.match(noted, '^%S+') ~= connection then
    call('HSET', key_suspects(), id, connection .. ' ' .. text(now_ms))
    call('PEXPIRE', key_suspects(), CONTROL_MS)
  end
end

-- Acts on every suspicion whose grace is over, if it was noted in this run of Redis and the row still names that
-- connection. Returns the ids of the workers expelled, the number of clients forgotten, whether others still run.
local function judge(run_id)
  local expelled, forgotten, closing = {}, 0, 0
  if run_id == '' then return expelled, forgotten, closing end
  local flat = call('HGETALL', key_suspects())
  for i = 1, #flat, 2 do
    local id = flat[i]
    local connection, since = string.match(flat[i + 1], '^(%S+) (%d+)$')
    local age = now_ms - tonumber(since)
    local worker, client = call('HGET', key_workers(), id), call('HGET', key_clients(), id)
    if worker and row_connection(worker) == connection and not row_dead(worker) then
      if age < CLOSED_MS then
        closing = 1
      elseif string.sub(connection, 1, #run_id) == run_id then
        expel(id, worker)
        table.insert(expelled, id)
      end
    elseif client and string.match(client, ' (%S+)$') == connection then
      if age < CLOSED_CLIENT_MS then
        closing = 1
      elseif string.sub(connection, 1, #run_id) == run_id then
        call('HDEL', key_suspects(), id)
        call('HDEL', key_clients(), id)
        forgotten = forgotten + 1
      end
    else
      call('HDEL', key_suspects(), id)
    end
  end
  return expelled, forgotten, closing
end
