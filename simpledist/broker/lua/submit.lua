-- submit: jobs of one function enter the queue of a lane.
-- ARGV: lane wish(JSON: protocol key python digest place) client connection terms(max_queue=N) require_worker(0|1) crashes n,
--       then n times: label call
--       (label: "id", or "id address join(0|1) cache_ms kept(0|1)"; call '' = the bytes were SET before)
-- Replies: epoch, then a word a job: queued | exists | done | full | what `live` answers, and nothing is entered
--          (moved <lane>: submit there | named <lane> <digest> <place> <worker>: submit there, with that digest
--          | no_worker [protocol <numbers>] | other_code <workers> | key <key ids> | disabled)
--          | joined <id> (it waits for that job) | again (the cached values of this reply are many bytes: submit this
--          call once more) | a reply element whose place is `cached`
-- A lone job that meets an empty queue is given to the worker that waits idle: claimed here, and put on its list.
-- The first write is the calls' bytes: so a Redis that is out of memory refuses the whole batch (docs/protocol.md).

local lane, asked, client, connection = arg(), arg(), arg(), arg()
local wish = read_wish(asked)
local terms, require_worker, crashes, n = read_terms(arg()), arg() == '1', number(), number()
local words, known, fresh_ids, fresh_calls = {}, {}, {}, {}
local waits, addresses, leaders, cached_for, cached_bytes = {}, {}, {}, {}, 0
local room = terms.max_queue and terms.max_queue - call('ZCARD', key_queued(lane)) or n
local answer = not require_worker and 'ok' or nil
for i = 1, n do
  local id, address, join, cache_ms, wants_kept = split_label(arg())
  local bytes = arg()
  local state = call('HGET', key_job(id), 'state')
  local hit, leader
  known[id] = state
  if address and state ~= 'queued' and state ~= 'running' then
    hit = wants_kept and call('GET', key_kept(address))
    leader = join and (leaders[address] or joinable(address))
  end
  if state == 'queued' or state == 'running' then
    words[i], waits[#waits + 1] = 'exists', id
    -- Its client may have sealed it again.
    if bytes ~= '' then call('SET', key_call(id), bytes, 'PX', UNFINISHED_MS) end
  elseif
    (state == 'succeeded' or state == 'failed')
    and (call('EXISTS', key_result(id)) == 1 or call('HEXISTS', key_job(id), 'why') == 1)
  then
    words[i], waits[#waits + 1] = 'done', id
  elseif hit and cached_bytes > 0 and cached_bytes + #hit > BATCH_BYTES then
    words[i] = 'again'
  elseif hit then
    words[i] = reply_text(id, { state = 'succeeded' }, 'cached', hit)
    cached_bytes = cached_bytes + #hit
    bump(lane, 'cached')
  else
    answer = answer or live(lane, wish)
    if answer ~= 'ok' then
      words[i] = answer
    elseif leader and leader ~= id then
      words[i], waits[#waits + 1] = 'joined ' .. leader, leader
      cached_for[leader] = math.max(cached_for[leader] or 0, cache_ms)
      bump(lane, 'joined')
    elseif #fresh_ids >= room then
      words[i] = 'full'
    else
      words[i] = 'queued'
      table.insert(fresh_ids, id)
      table.insert(fresh_calls, bytes)
      if address then
        addresses[id], cached_for[id] = address, cache_ms
      end
      if join then leaders[address] = id end
    end
  end
end

if answer and answer ~= 'ok' then tell_why_not(lane, wish, answer) end
if #fresh_ids > 0 then
  if lane ~= code_lane(lane) then open_lane(lane) end
  local first, worker, slot = nil, nil, nil
  local elements, scores = {}, {}
  for i, id in ipairs(fresh_ids) do
    if fresh_calls[i] ~= '' then call('SET', key_call(id), fresh_calls[i], 'PX', UNFINISHED_MS) end
    if known[id] then call('DEL', key_job(id), key_result(id)) end
    if not first then
      first = stamps(lane, #fresh_ids + 1)
      if #fresh_ids == 1 then
        worker, slot = take_idle_worker(lane, wish)
      end
    end
    local stamp = text(first + i - 1)
    if worker then
      local fence = text(first + 1)
      -- stylua: ignore
      call('HSET', key_job(id), 'state', 'running', 'lane', lane, 'stamp', stamp, 'waiting:' .. client, '1',
        'fence', fence, 'worker', worker, 'slot', slot, 'attempts', '1', 'queued_ms', '0')
      hold(lane, id, fence, worker, slot, 1, 'given')
      count_ms(lane, 'wait', 0)
      call('RPUSH', key_given(worker), lane .. ' ' .. id .. ' ' .. fence .. ' ' .. slot .. '\n' .. fresh_calls[i])
      call('PEXPIRE', key_given(worker), CONTROL_MS)
    else
      call('HSET', key_job(id), 'state', 'queued', 'lane', lane, 'waiting:' .. client, '1')
      table.insert(elements, stamp .. '.' .. id)
      table.insert(scores, stamp)
      table.insert(scores, id)
    end
    call('PEXPIRE', key_job(id), UNFINISHED_MS)
    if owner_of(id) ~= client then call('HSET', key_job(id), 'shared', '1') end
    if addresses[id] then
      call('HSET', key_job(id), 'shared', '1', 'address', addresses[id], 'generation', generation(lane))
      if leaders[addresses[id]] == id then call('SET', key_join(addresses[id]), id, 'PX', UNFINISHED_MS) end
    end
    if crashes > 0 then call('HSET', key_job(id), 'crashes', crashes) end
    if fresh_calls[i] == '' then
      call('HSET', key_job(id), 'beside', '1')
      call('PEXPIRE', key_call(id), UNFINISHED_MS)
    end
  end
  for from = 1, #elements, 1000 do
    local to = math.min(from + 999, #elements)
    call('ZADD', key_queued(lane), unpack(scores, 2 * from - 1, 2 * to))
    call('RPUSH', key_queue(lane), unpack(elements, from, to))
  end
  if #elements > 0 then
    call('PEXPIRE', key_queued(lane), UNFINISHED_MS)
    call('PEXPIRE', key_queue(lane), UNFINISHED_MS)
  end
  bump(lane, 'submitted', #fresh_ids)
end
call('HDEL', key_suspects(), client)
for _, id in ipairs(waits) do
  call('HSET', key_job(id), 'waiting:' .. client, '1')
  if owner_of(id) ~= client then call('HSET', key_job(id), 'shared', '1') end
  -- No one will read the call of a job that has ended: if it was sent apart from the script, it goes.
  if ENDED[known[id]] then
    call('DEL', key_call(id))
  else
    call('PEXPIRE', key_call(id), UNFINISHED_MS)
  end
end
-- Of several callers, one is enough that wants the value kept.
for id, cache_ms in pairs(cached_for) do
  if cache_ms > 0 then call('HSET', key_job(id), 'cache', text(cache_ms)) end
end
flush()
call('HSET', key_clients(), client, client_row(connection, wish.speaks))
return { epoch(), words }
