-- Stands before every verb, but only those of its definitions that the verb comes to use (scripts.py): to make them all
-- costs more than most verbs. Above it, scripts.py renders: ns, the timings and caps of policy.py as capitals, and now_us
-- (Redis TIME: no process's clock ever counts); then _lanes.lua, _stats.lua and _offers.lua. key_<template>(part) stands for a key of keys.py.
--
-- Out-of-memory rule (redis script.c, scriptVerifyOOM): Redis refuses only the *first* memory-taking write of a script.
-- `submit` therefore begins with its largest write, to be refused whole; every other verb begins with a freeing write,
-- so that results, beats and cancels go through while Redis is full.

local cursor = 0
local function arg() cursor = cursor + 1; return ARGV[cursor] end
local function number() return tonumber(arg()) end

-- Writes of a batch that meet in one key (held, current, replies) are gathered and go as one command each
-- when the verb calls `flush`, which it does before it reads such a key and at its end.
local gathered, in_order, lives_on = { HSET = {}, HDEL = {}, RPUSH = {}, SADD = {} }, {}, {}
local function gather(command, key, field, value)
  local list = gathered[command][key]
  if not list then
    list = { command, key }
    gathered[command][key] = list
    in_order[#in_order + 1] = list
  end
  local n = #list
  list[n + 1], list[n + 2] = field, value
end

local function flush()
  for _, list in ipairs(in_order) do
    for from = 3, #list, 1000 do
      call(list[1], list[2], unpack(list, from, math.min(from + 999, #list)))
    end
  end
  flush_tallies()
  for key, ms in pairs(lives_on) do call('PEXPIRE', key, ms) end
  gathered, in_order, lives_on = { HSET = {}, HDEL = {}, RPUSH = {}, SADD = {} }, {}, {}
end

local ended = { succeeded = true, failed = true, cancelled = true }

local function epoch()
  local value = call('GET', key_epoch())
  if not value then
    value = text(now_us)
    call('SET', key_epoch(), value)
    -- Workers that wait in BLPOP do not see that Redis was emptied: each takes this, beats and passes it on.
    call('RPUSH', key_rollcall(), value)
    call('PEXPIRE', key_rollcall(), CONTROL_MS)
  end
  return value
end

-- The first of n stamps: microseconds of Redis TIME, strictly rising per lane, never used twice.
local function stamps(fn, n)
  local first = now_us
  local last = tonumber(call('HGET', key_meta(fn), 'stamp') or 0)
  if last >= first then first = last + 1 end
  call('HSET', key_meta(fn), 'stamp', text(first + n - 1))
  keep_meta(fn)
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

local function owner_of(id) return string.match(id, '^[^-]*') end

local function job_of(id)
  local flat = call('HGETALL', key_job(id))
  if #flat == 0 then return nil end
  local job = { waiting = {} }
  for i = 1, #flat, 2 do
    local client = string.match(flat[i], '^waiting:(.+)$')
    if client then table.insert(job.waiting, client) else job[flat[i]] = flat[i + 1] end
  end
  -- The fence of a job that has ended is empty: to set it goes with other writes, to remove it would not.
  if job.fence == '' then job.fence = nil end
  return job
end

-- What ends and claims of many jobs need to know of one; a job that several clients wait for is read whole.
local function glance(id)
  local owner = owner_of(id)
  local got = call('HMGET', key_job(id), 'state', 'fence', 'worker', 'attempts', 'queued_ms', 'beside', 'shared',
    'waiting:' .. owner, 'slot', 'stamp', 'submitted', 'lane', 'refused_by')
  if not got[1] then return nil end
  if got[7] then return job_of(id) end
  return { state = got[1], fence = got[2] ~= '' and got[2] or nil, worker = got[3] or nil, attempts = got[4] or nil,
    queued_ms = got[5] or nil, beside = got[6] or nil, waiting = got[8] and { owner } or {}, slot = got[9] or nil,
    stamp = got[10] or nil, submitted = got[11] or nil, lane = got[12] or nil, refused_by = got[13] or nil }
end

local function client_alive(client)
  local row = call('HGET', key_clients(), client)
  if not row then return false end
  return now_ms - tonumber(string.match(row, '^%d+') or 0) < SILENT_CLIENT_MS
end

local known_alive = {}
local function anyone_waits(job)
  for _, client in ipairs(job.waiting) do
    if known_alive[client] == nil then known_alive[client] = client_alive(client) end
    if known_alive[client] then return true end
  end
  return false
end

local function unhold(fn, id, fence, worker)
  gather('HDEL', key_held(worker), fn .. ':' .. id .. ':' .. fence)
  gather('HDEL', key_current(fn), id .. ':' .. fence)
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

-- Elements that were popped and not claimed go back, to the head only: they may be there already, sent back before. Where
-- others are before one, mend_queue finds it.
local function put_back(fn, elements)
  for i = #elements, 1, -1 do
    local stamp, id = split_element(elements[i])
    local head, trimmed = trim(fn)
    local first = stamp and trimmed and (not head or stamp < head)
    if first and tonumber(call('ZSCORE', key_queued(fn), id) or 0) == stamp then
      call('LPUSH', key_queue(fn), elements[i])
      call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
    end
  end
end

-- An attempt is over and its job is not: remembered for the job's page.
local function note_requeued(fn, id, job, how)
  note_attempt(fn, id, job, 'requeued', job.worker, text(now_ms - tonumber(job.fence) / 1000), how)
  local line = string.format('%s %s %.0f %.0f %s;', job.worker, job.slot or '-', job.fence / 1000, now_ms, how)
  call('HSET', key_job(id), 'trail', string.sub((job.trail or '') .. line, -TRAIL_CHARACTERS))
end

-- When a job was submitted. The stamp of one that is queued stands in the ledger, and in its row only once it runs:
-- many wait, and every byte of them counts.
local function time_submitted(fn, id, job)
  local stamp = job.stamp or call('ZSCORE', key_queued(fn), id)
  return job.submitted or stamp and text(math.floor(stamp / 1000)) or now
end

-- Back to the head of its list, before everything that the ledger knows: order and age stay one number. `how` says
-- what took it from its worker: released, unheld, crashed, lost.
local function requeue(fn, id, job, how)
  if job.fence then
    unhold(fn, id, job.fence, job.worker)
    note_requeued(fn, id, job, how)
  end
  trim(fn)
  local oldest = call('ZRANGE', key_queued(fn), 0, 0, 'WITHSCORES')
  local stamp = text(oldest[2] and tonumber(oldest[2]) - 1 or stamps(fn, 1))
  call('HDEL', key_job(id), 'fence', 'worker', 'missed', 'stamp')
  call('HSET', key_job(id), 'state', 'queued', 'submitted', time_submitted(fn, id, job))
  call('ZADD', key_queued(fn), stamp, id)
  call('LPUSH', key_queue(fn), stamp .. '.' .. id)
  call('PEXPIRE', key_queued(fn), UNFINISHED_MS)
  call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
  bump(fn, 'requeued')
end

-- A job that is over is joined by nobody any more.
local function unjoin(id, job)
  if call('GET', key_join(job.address)) == id then call('DEL', key_join(job.address)) end
end

-- Forget a job that nobody waits for.
local function drop(fn, id, job)
  tally(fn)
  if job and job.address then unjoin(id, job) end
  call('ZREM', key_queued(fn), id)
  if job and job.fence then unhold(fn, id, job.fence, job.worker) end
  call('DEL', key_job(id), key_call(id), key_result(id))
end

-- How a job ended, as one element of a reply list: "id state why worker attempts queued_ms run_ms place\n<bytes>".
local function reply_text(id, job, place, bytes)
  return id .. ' ' .. job.state .. ' ' .. (job.why or '-') .. ' ' .. (job.worker or '-') .. ' ' .. (job.attempts or '0')
    .. ' ' .. (job.queued_ms or '0') .. ' ' .. (job.run_ms or '0') .. ' ' .. place .. '\n' .. bytes
end

-- The same for a job that ended before.
local function reply_element(id, job)
  local place, bytes = 'none', ''
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

-- The one way to an end: frees the ledger and the holder, tells every client that waits. `result` is the outcome's
-- bytes ('' where they lie beside under `place`, or where there are none).
local function finish(fn, id, job, state, fields, place, result)
  if job.state == 'queued' then
    fields.submitted = time_submitted(fn, id, job)
    job.submitted = fields.submitted
    call('ZREM', key_queued(fn), id)
  end
  if job.fence then unhold(fn, id, job.fence, job.worker) end
  call('DEL', key_call(id))
  if job.address then unjoin(id, job) end
  if result ~= '' then call('SET', key_result(id), result, 'PX', ENDED_MS) end
  note_attempt(fn, id, job, state, fields.worker or job.worker, fields.run_ms, fields.why)
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
  local element = reply_text(id, job, place, place == 'inline' and result or '')
  for _, client in ipairs(job.waiting) do
    gather('RPUSH', key_reply(client), element)
    lives_on[key_reply(client)] = ENDED_MS
  end
  bump(fn, state)
end

-- What people see of a failure that is the cluster's; a worker that refused the job is named.
local function note_trouble(fn, id, why, error, refuser)
  local place = string.gsub(string.sub(error, 1, 100), '%d+', '#')
  note_failure(fn, id, why, refuser and refuser .. ': ' .. place or place, '')
end

-- Ends as "run it at the client": why is a word of job.Why.
local function give_up(fn, id, job, why, error, refuser)
  finish(fn, id, job, 'failed', { why = why, error = error or '' }, 'none', '')
  bump(fn, why)
  note_trouble(fn, id, why, error or '', refuser)
end

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

-- The offers of a worker are in its row: names hold neither quotes nor brackets (job.NAME). Says how many there were.
local function withdraw_offers(worker, row)
  local n = 0
  for fn in string.gmatch(string.match(row, '"functions":%[([^%]]*)%]') or '', '"([^"]+)"') do
    gather('HDEL', key_offers(fn), worker)
    tally(fn)
    n = n + 1
  end
  return n
end

-- A worker without a row, or with a dead one, gets no jobs: nobody would miss it, so nobody would take them back.
local function registered(worker)
  local row = call('HGET', key_workers(), worker)
  return row and not row_dead(row) and row
end

local function hold(fn, id, fence, worker, slot, attempt, nonce)
  gather('HSET', key_current(fn), id .. ':' .. fence, worker .. ' ' .. slot .. ' ' .. attempt .. ' ' .. now)
  gather('HSET', key_held(worker), fn .. ':' .. id .. ':' .. fence, now .. ' ' .. nonce)
  lives_on[key_current(fn)] = UNFINISHED_MS
  lives_on[key_held(worker)] = UNFINISHED_MS
end

-- The call's bytes: '' where they lie beside, nil where they are gone.
local function call_bytes(id, job)
  if job.beside then return call('EXISTS', key_call(id)) == 1 and '' or nil end
  return call('GET', key_call(id)) or nil
end

local function append_claimed(out, fn, id, fence, slot, attempt, queued_ms, bytes)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = fn, id, fence, slot
  out[n + 5], out[n + 6], out[n + 7] = attempt, queued_ms, bytes
end

-- A worker does not get a job again that it has refused, while another one would take it: false, and it is told to pass
-- over this lane for a while.
local function is_for_another(order, job)
  if not string.find(job.refused_by, order.worker, 1, true) then return false end
  if not another_takes(order.fn, { [order.worker] = true }) then return false end
  if not order.left then tell_pass(order.fn, order.worker) end
  return true
end

-- A job of the ledger becomes a running one, or nothing: nobody waits, bytes gone, too many attempts. `order` is what
-- the verb was asked: fn (a lane), worker, nonce, slots, deep; and what it has: filled, size, out, the next fence.
-- False where it is to stay in the queue for another worker.
local function claim_job(order, id, stamp)
  local fn = order.fn
  local job = glance(id)
  if not job or job.state ~= 'queued' then return end
  if job.refused_by and is_for_another(order, job) then return false end
  local bytes = call_bytes(id, job)
  if not bytes or not anyone_waits(job) then
    drop(fn, id, job)
    return
  end
  local attempt = tonumber(job.attempts or 0) + 1
  if attempt > ATTEMPT_CAP then
    give_up(fn, id, job, 'lost', 'no outcome after ' .. ATTEMPT_CAP .. ' attempts')
    return
  end
  local fence = text(order.fence)
  order.fence, order.filled, order.size = order.fence + 1, order.filled + 1, order.size + #bytes
  local queued_ms = text(math.max(0, now_ms - math.floor(stamp / 1000)))
  local slot = order.slots[(order.filled - 1) % #order.slots + 1]
  call('HSET', key_job(id), 'state', 'running', 'stamp', text(stamp), 'fence', fence, 'worker', order.worker,
    'slot', slot, 'attempts', attempt, 'queued_ms', queued_ms)
  -- A job that was given back or lost is claimed again: its first wait stands for it, one for each job that ran.
  if not job.queued_ms then count_ms(fn, 'wait', queued_ms) end
  hold(fn, id, fence, order.worker, slot, attempt, order.nonce)
  append_claimed(order.out, fn, id, fence, slot, text(attempt), queued_ms, bytes)
end

-- List elements become running jobs while there are slots and the calls' bytes fit; gives how many it has dealt with.
-- An element whose stamp is not the ledger's is a stale one.
local function claim_elements(order, elements)
  local fn, ids, stamp_of = order.fn, {}, {}
  for i, element in ipairs(elements) do
    stamp_of[i], ids[i] = split_element(element)
    ids[i] = ids[i] or ''
  end
  if #ids == 0 then return 0 end
  local scores = call('ZMSCORE', key_queued(fn), unpack(ids))
  order.fence = stamps(fn, #ids)
  local taken, done = {}, 0
  for i, id in ipairs(ids) do
    if order.filled >= order.most or order.size > BATCH_BYTES then break end
    done = i
    local stamp = stamp_of[i]
    if stamp and scores[i] and tonumber(scores[i]) == stamp and not taken[id] then
      if claim_job(order, id, stamp) == false then
        order.left = order.left or {}
        table.insert(order.left, elements[i])
      else
        taken[id], taken[#taken + 1] = true, id
      end
    end
  end
  if #taken > 0 then call('ZREM', key_queued(fn), unpack(taken)) end
  return done
end

-- Slots that are deeper than 1 ask for short jobs to be run one after the other. So that a greedy worker leaves work
-- for idle ones, it gets its slots' share of the queue at most, where more slots than it names offer the function. For
-- the same reason a busy slot gets what every slot that offers the function could not begin at once.
local function share(order, row)
  local named, free = #order.slots, order.free
  order.most = order.deep == 0 and 0 or math.max(free, math.min(free * order.deep, BATCH_ITEMS))
  if order.deep == 0 or order.most == named then return end
  local slots = tonumber(row_slots(row) or named)
  local all = math.max(free, slots * call('HLEN', key_offers(function_of(order.fn))))
  local queued = call('ZCARD', key_queued(order.fn))
  if named > free then
    order.most = math.max(free, math.min(named, queued - all))
  else
    order.most = math.min(order.most, math.max(free, math.ceil(queued * free / all)))
  end
end

-- Jobs for each slot left, straight from the list; stops at BATCH_BYTES of calls. What was popped beyond goes back.
local function take(order)
  local queue, rounds = key_queue(order.fn), 0
  while order.filled < order.most and order.size <= BATCH_BYTES and rounds < BATCH_ITEMS do
    local elements = call('LPOP', queue, math.min(order.most - order.filled, BATCH_ITEMS))
    if not elements or #elements == 0 then return end
    rounds = rounds + #elements
    local done = claim_elements(order, elements)
    for i = #elements, done + 1, -1 do call('LPUSH', queue, elements[i]) end
    if done < #elements then call('PEXPIRE', queue, UNFINISHED_MS) end
  end
end

-- A verb sent again gives the same jobs again, as far as they are still in the worker's hands.
local function repeat_claims(worker, nonce, out)
  local flat = call('HGETALL', key_held(worker))
  for i = 1, #flat, 2 do
    if string.match(flat[i + 1], ' (.+)$') == nonce then
      local fn, id, fence = split_held(flat[i])
      local job = job_of(id)
      local bytes = job and call_bytes(id, job)
      local current = call('HGET', key_current(fn), id .. ':' .. fence)
      if bytes and job.fence == fence and current then
        local slot = string.match(current, '^%S+ (%S+)')
        append_claimed(out, fn, id, fence, slot, job.attempts, job.queued_ms, bytes)
      end
    end
  end
end

-- What a worker asks for: slots to be dealt jobs in turns, so many turns deep; the last `ahead` of them are busy, and
-- want one to begin the moment that they are free. `idle_for`: the function for which it was left waiting.
local function read_order(fn, worker, nonce, out)
  local deep, ahead, slots = number(), number(), {}
  for i = 1, number() do slots[i] = arg() end
  return { fn = fn, worker = worker, nonce = nonce, deep = deep, free = #slots - ahead, slots = slots, filled = 0,
    size = 0, out = out, idle_for = arg() }
end

-- Back to its queue, blaming nobody.
local function release(fn, id, fence, how)
  local job = job_of(id)
  if not job then return 'gone' end
  if job.state ~= 'running' or job.fence ~= fence then return 'stale' end
  call('HSET', key_job(id), 'attempts', math.max(0, tonumber(job.attempts or 1) - 1))
  requeue(fn, id, job, how or 'released')
  return 'requeued'
end

-- A worker waits for the lone job of one function at a time, and for none once its slots are full: then a job that it
-- was given in this very moment finds no slot there.
local function not_idle(order)
  local full = order.filled >= order.free
  if order.idle_for == '' or not full and order.filled > 0 then return end
  local idle = call('HGET', key_meta(order.idle_for), 'idle')
  if idle and string.match(idle, '^%S+') == order.worker then
    call('HDEL', key_meta(order.idle_for), 'idle')
    return
  end
  if not full then return end
  local given = call('LPOP', key_given(order.worker))
  if not given then return end
  local fn, id, fence = string.match(given, '^(%S+) (%S+) (%d+) ')
  release(fn, id, fence)
  unhold(fn, id, fence, order.worker)
end
