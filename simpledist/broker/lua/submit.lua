-- submit: jobs of one function enter its queue.
-- ARGV: function client connection max_queue(-1: none) require_worker(0|1) n, then n times: id call
--       (call '' = the bytes were SET beside before)
-- Replies: epoch, then a word a job: queued | exists | done | no_worker | full
-- First write: the calls' bytes, so that a full Redis refuses the whole batch cleanly.

local fn, client, connection = arg(), arg(), arg()
local max_queue, require_worker, n = number(), arg() == '1', number()
local words, known, fresh_ids, fresh_calls = {}, {}, {}, {}
local room = max_queue < 0 and n or max_queue - call('ZCARD', key_queued(fn))
local alive = nil
for i = 1, n do
  local id, bytes = arg(), arg()
  local state = call('HGET', key_job(id), 'state')
  known[id] = state
  if state == 'queued' or state == 'running' then
    words[i] = 'exists'
  elseif (state == 'succeeded' or state == 'failed')
    and (call('EXISTS', key_result(id)) == 1 or call('HEXISTS', key_job(id), 'why') == 1) then
    words[i] = 'done'
  else
    if alive == nil then alive = not require_worker or live(fn) end
    if not alive then
      words[i] = 'no_worker'
    elseif #fresh_ids >= room then
      words[i] = 'full'
    else
      words[i] = 'queued'
      table.insert(fresh_ids, id)
      table.insert(fresh_calls, bytes)
    end
  end
end

if #fresh_ids > 0 then
  local first = nil
  local elements, scores = {}, {}
  for i, id in ipairs(fresh_ids) do
    if fresh_calls[i] ~= '' then call('SET', key_call(id), fresh_calls[i], 'PX', UNFINISHED_MS) end
    if known[id] then call('DEL', key_job(id), key_result(id)) end
    first = first or stamps(fn, #fresh_ids)
    local stamp = text(first + i - 1)
    call('HSET', key_job(id), 'state', 'queued', 'function', fn, 'stamp', stamp, 'waiting:' .. client, '1')
    call('PEXPIRE', key_job(id), UNFINISHED_MS)
    if owner_of(id) ~= client then call('HSET', key_job(id), 'shared', '1') end
    if fresh_calls[i] == '' then
      call('HSET', key_job(id), 'beside', '1')
      call('PEXPIRE', key_call(id), UNFINISHED_MS)
    end
    table.insert(elements, stamp .. '.' .. id)
    table.insert(scores, stamp)
    table.insert(scores, id)
  end
  for from = 1, #elements, 1000 do
    local to = math.min(from + 999, #elements)
    call('ZADD', key_queued(fn), unpack(scores, 2 * from - 1, 2 * to))
    call('RPUSH', key_queue(fn), unpack(elements, from, to))
  end
  call('PEXPIRE', key_queued(fn), UNFINISHED_MS)
  call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
  bump(fn, 'submitted', #fresh_ids)
end
call('HDEL', key_suspects(), client)
for i = 1, n do
  if words[i] == 'exists' or words[i] == 'done' then
    local id = ARGV[4 + 2 * i + 1]
    call('HSET', key_job(id), 'waiting:' .. client, '1')
    if owner_of(id) ~= client then call('HSET', key_job(id), 'shared', '1') end
    if words[i] == 'exists' then call('PEXPIRE', key_call(id), UNFINISHED_MS) end
  end
end
flush()
call('HSET', key_clients(), client, now .. ' ' .. connection)
return { epoch(), words }
