-- The short way of `submit`, which comes before it: one call with its bytes, without an address and without terms but
-- `max_queue`, that meets an idle worker. It leaves what submit.lua leaves (tests/broker/test_short_ways.py), with
-- fewer commands.

do
  local lane, asked, client, connection, terms, _, crashes, n, id, bytes = unpack(ARGV, 1, 10)
  if
    n == '1'
    and (terms == '' or string.find(terms, '^max_queue=[1-9]%d*$'))
    and crashes == '0'
    and bytes ~= ''
    and not string.find(id, ' ', 1, true)
    and owner_of(id) == client
  then
    local fn = function_of(lane)
    local idle, last, counting, disabled = unpack(call('HMGET', key_meta(fn), 'idle', 'stamp', 'minute', 'disabled'))
    if lane ~= fn then
      idle, last = unpack(call('HMGET', key_meta(lane), 'idle', 'stamp'))
    end
    local wish = read_wish(asked)
    local worker, slot = nil, nil
    if not disabled then
      worker, slot = idle_worker(idle, lane, wish)
    end
    if worker and call('EXISTS', key_job(id)) == 0 then
      call('SET', key_call(id), bytes, 'PX', UNFINISHED_MS)
      local first, stamp = now_us, now_us_text
      if tonumber(last or 0) >= first then
        first = last + 1
        stamp = text(first)
      end
      local fence = text(first + 1)
      -- stylua: ignore
      call('HSET', key_job(id), 'state', 'running', 'lane', lane, 'stamp', stamp, 'waiting:' .. client, '1',
        'fence', fence, 'worker', worker, 'slot', slot, 'attempts', '1', 'queued_ms', '0')
      call('PEXPIRE', key_job(id), UNFINISHED_MS)
      call('HSET', key_current(lane), id .. ':' .. fence, worker .. ' ' .. slot .. ' 1 ' .. now)
      call('PEXPIRE', key_current(lane), UNFINISHED_MS)
      call('HSET', key_held(worker), lane .. ':' .. id .. ':' .. fence, now .. ' given')
      call('PEXPIRE', key_held(worker), UNFINISHED_MS)
      call('RPUSH', key_given(worker), lane .. ' ' .. id .. ' ' .. fence .. ' ' .. slot .. '\n' .. bytes)
      call('PEXPIRE', key_given(worker), CONTROL_MS)
      if tonumber(counting or 0) ~= minute then roll(fn, counting) end
      call('HSET', key_meta(lane), 'stamp', fence, 'idle', '')
      if lane ~= fn then call('PEXPIRE', key_meta(lane), UNFINISHED_MS) end
      call('HINCRBY', key_meta(fn), 'submitted', '1')
      call('HINCRBY', key_meta(fn), 'wait:1', '1')
      call('ZADD', key_active(), now_us_text, fn)
      call('HDEL', key_suspects(), client)
      call('HSET', key_clients(), client, client_row(connection, wish.speaks))
      return { epoch(), { 'queued' } }
    end
  end
end
