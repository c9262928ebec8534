-- A claim: queued jobs become running ones in a worker's hands. `order` is what the verb was asked (lane, worker,
-- nonce, slots, deep, free, idle_for) and what it has so far (filled, size, out, the next fence).

local function split_held(field) return string.match(field, '^(.+):([^:]+):(%d+)$') end

local function hold(lane, id, fence, worker, slot, attempt, nonce)
  gather('HSET', key_current(lane), id .. ':' .. fence, worker .. ' ' .. slot .. ' ' .. attempt .. ' ' .. now)
  gather('HSET', key_held(worker), lane .. ':' .. id .. ':' .. fence, now .. ' ' .. nonce)
  lives_on[key_current(lane)] = UNFINISHED_MS
  lives_on[key_held(worker)] = UNFINISHED_MS
end

local function unhold(lane, id, fence, worker)
  gather('HDEL', key_held(worker), lane .. ':' .. id .. ':' .. fence)
  gather('HDEL', key_current(lane), id .. ':' .. fence)
end

-- Returns whether a worker that Redis knows holds this. If not, keys were evicted, deleted or half restored: the rest
-- of the entry is removed.
local function is_held(lane, id, fence, worker)
  local field = lane .. ':' .. id .. ':' .. fence
  if call('HEXISTS', key_held(worker), field) == 1 and call('HEXISTS', key_workers(), worker) == 1 then return true end
  call('HDEL', key_held(worker), field)
  call('HDEL', key_current(lane), id .. ':' .. fence)
  return false
end

-- Reads what a worker asks for: slots to be dealt jobs in turns, `deep` turns; the last `ahead` of the slots are busy,
-- and want a job to begin the moment that they are free. `idle_for`: the lane for which the worker was left idle.
local function read_order(lane, worker, nonce, out)
  local deep, ahead, slots = number(), number(), {}
  for i = 1, number() do
    slots[i] = arg()
  end
  -- stylua: ignore
  return {
    lane = lane, worker = worker, nonce = nonce, deep = deep, free = #slots - ahead, slots = slots, filled = 0,
    size = 0, out = out, idle_for = arg(),
  }
end

local function append_claimed(out, lane, id, fence, slot, attempt, queued_ms, bytes)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = lane, id, fence, slot
  out[n + 5], out[n + 6], out[n + 7] = attempt, queued_ms, bytes
end

-- Returns whether a job that this worker has refused stays for another one that would take it. The worker is then asked
-- to pass over the lane for a while.
local function is_for_another(order, job) -- rare
  if not string.find(job.refused_by, order.worker, 1, true) then return false end
  if not another_takes(order.lane, { [order.worker] = true }) then return false end
  if not order.left then tell_pass(order.lane, order.worker) end
  return true
end

-- Makes a running job of a queued one, or removes it: no client waits, its bytes are gone, it had too many attempts.
-- Returns false if it is to stay in the queue for another worker. Numbers that go to Redis are text already: printing
-- one costs as much as a command.
local function claim_job(order, id, stamp)
  local lane = order.lane
  local job = glance_queued(id)
  if not job then return end
  if job.refused_by and is_for_another(order, job) then return false end
  local bytes = call_bytes(id, job)
  if not bytes or is_orphan(job) then
    drop(lane, id, job)
    return
  end
  local attempt = job.attempts and text(job.attempts + 1) or '1'
  if tonumber(attempt) > ATTEMPT_CAP then
    give_up(lane, id, job_of(id), 'lost', 'no outcome after ' .. ATTEMPT_CAP .. ' attempts')
    return
  end
  local fence = text(order.fence)
  order.fence, order.filled, order.size = order.fence + 1, order.filled + 1, order.size + #bytes
  local queued_ms = string.format('%d', math.max(0, now_ms - math.floor(stamp / 1000)))
  local slot = order.slots[(order.filled - 1) % #order.slots + 1]
  -- stylua: ignore
  call('HSET', key_job(id), 'state', 'running', 'stamp', stamp, 'fence', fence, 'worker', order.worker,
    'slot', slot, 'attempts', attempt, 'queued_ms', queued_ms)
  -- A job that was given back or lost is claimed again: only its first wait counts, so that each job counts once.
  if not job.queued_ms then count_ms(lane, 'wait', queued_ms) end
  hold(lane, id, fence, order.worker, slot, attempt, order.nonce)
  append_claimed(order.out, lane, id, fence, slot, attempt, queued_ms, bytes)
end

-- Claims list elements while there are slots and the calls' bytes fit; returns how many elements are dealt with. An
-- element whose stamp is not the ledger's is stale.
local function claim_elements(order, elements)
  local lane, ids, numbers, stamps_of = order.lane, {}, {}, {}
  for i, element in ipairs(elements) do
    numbers[i], ids[i], stamps_of[i] = split_element(element)
    ids[i] = ids[i] or ''
  end
  if #ids == 0 then return 0 end
  local scores = call('ZMSCORE', key_queued(lane), unpack(ids))
  order.fence = stamps(lane, #ids)
  local taken, done = {}, 0
  for i, id in ipairs(ids) do
    if order.filled >= order.most or order.size > BATCH_BYTES then break end
    done = i
    local stamp = numbers[i]
    if stamp and scores[i] and tonumber(scores[i]) == stamp and not taken[id] then
      if claim_job(order, id, stamps_of[i]) == false then
        order.left = order.left or {}
        table.insert(order.left, elements[i])
      else
        taken[id], taken[#taken + 1] = true, id
      end
    end
  end
  if #taken > 0 then call('ZREM', key_queued(lane), unpack(taken)) end
  return done
end

-- Sets how many jobs an order gets at most. A slot that is `deep` gets several short jobs at once; so that a greedy
-- worker leaves some for idle ones, it gets its slots' share of the queue at most, if other slots offer the function
-- too. For the same reason a busy slot gets only what all slots that offer the function could not begin at once.
local function share(order, row)
  local named, free = #order.slots, order.free
  order.most = order.deep == 0 and 0 or math.max(free, math.min(free * order.deep, BATCH_ITEMS))
  if order.deep == 0 or order.most == named then return end
  local slots = tonumber(row_slots(row) or named)
  local all = math.max(free, slots * call('HLEN', key_offers(function_of(order.lane))))
  local queued = call('ZCARD', key_queued(order.lane))
  if named > free then
    order.most = math.max(free, math.min(named, queued - all))
  else
    order.most = math.min(order.most, math.max(free, math.ceil(queued * free / all)))
  end
end

-- Claims jobs for the slots that are left, straight from the list, up to BATCH_BYTES of calls. Puts back what it has
-- popped beyond that.
local function take(order)
  local queue, rounds = key_queue(order.lane), 0
  while order.filled < order.most and order.size <= BATCH_BYTES and rounds < BATCH_ITEMS do
    local elements = call('LPOP', queue, math.min(order.most - order.filled, BATCH_ITEMS))
    if not elements or #elements == 0 then return end
    rounds = rounds + #elements
    local done = claim_elements(order, elements)
    for i = #elements, done + 1, -1 do
      call('LPUSH', queue, elements[i])
    end
    if done < #elements then call('PEXPIRE', queue, UNFINISHED_MS) end
  end
end

-- Hands out again what a verb with this nonce has handed out, as far as the worker still holds it.
local function repeat_claims(worker, nonce, out) -- rare
  local flat = call('HGETALL', key_held(worker))
  for i = 1, #flat, 2 do
    if string.match(flat[i + 1], ' (.+)$') == nonce then
      local lane, id, fence = split_held(flat[i])
      local job = job_of(id)
      local bytes = job and call_bytes(id, job)
      local current = call('HGET', key_current(lane), id .. ':' .. fence)
      if bytes and job.fence == fence and current then
        local slot = string.match(current, '^%S+ (%S+)')
        append_claimed(out, lane, id, fence, slot, job.attempts, job.queued_ms, bytes)
      end
    end
  end
end

-- A worker is idle for one lane at a time, and for none when its slots are full. A job that it was given in this very
-- moment would find no slot: it goes back.
local function not_idle(order)
  local full = order.filled >= order.free
  if order.idle_for == '' or not full and order.filled > 0 then return end
  local idle = call('HGET', key_meta(order.idle_for), 'idle')
  if idle and string.match(idle, '^%S*') == order.worker then
    call('HSET', key_meta(order.idle_for), 'idle', '')
    return
  end
  if not full then return end
  local given = call('LPOP', key_given(order.worker))
  if not given then return end
  local lane, id, fence = string.match(given, '^(%S+) (%S+) (%d+) ')
  release(lane, id, fence)
  unhold(lane, id, fence, order.worker)
end
