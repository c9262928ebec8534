-- The short way of `complete`, which comes before it: one small value of the attempt that counts, for a job that only
-- its own client waits for, from a worker that takes nothing. It leaves what complete.lua leaves
-- (tests/broker/test_short_ways.py), with fewer commands.

do
  local worker, _, _, n, lane, id, fence, kind, run_ms, error, result, takes_more, take_lane, deep, _, _, slot, idle_for =
    unpack(ARGV, 1, 18)
  if
    n == '1'
    and kind == 'value'
    and error == ''
    and result ~= ''
    and #result <= INLINE_BYTES
    and takes_more == '1'
    and deep == '0'
    and take_lane == lane
    and (idle_for == '' or idle_for == lane)
  then
    local owner = owner_of(id)
    -- stylua: ignore
    local state, its_fence, shared, waits, refused_by, holder, its_slot, attempts, queued_ms, stamp, submitted =
      unpack(call('HMGET', key_job(id), 'state', 'fence', 'shared', 'waiting:' .. owner, 'refused_by', 'worker', 'slot',
        'attempts', 'queued_ms', 'stamp', 'submitted'))
    if state == 'running' and its_fence == fence and waits and not shared and not refused_by then
      -- stylua: ignore
      local job = { state = 'succeeded', fence = fence, worker = holder, slot = its_slot or nil, stamp = stamp,
        attempts = attempts or nil, queued_ms = queued_ms or nil, submitted = submitted or nil, run_ms = run_ms }
      call('HDEL', key_suspects(), worker)
      call('HDEL', key_held(worker), lane .. ':' .. id .. ':' .. fence)
      call('HDEL', key_current(lane), id .. ':' .. fence)
      call('DEL', key_call(id))
      call('SET', key_result(id), result, 'PX', ENDED_MS)
      call('HSET', key_job(id), 'state', 'succeeded', 'ended', now, 'fence', '', 'worker', worker, 'run_ms', run_ms)
      call('PEXPIRE', key_job(id), ENDED_MS)
      local fn, histogram = function_of(lane), 'run:' .. bucket(tonumber(run_ms))
      local counting = call('HGET', key_meta(fn), 'minute')
      if tonumber(counting or 0) ~= minute then roll(fn, counting) end
      flush_recent(fn, { attempt_line(id, job, 'succeeded', worker, run_ms) })
      job.worker = worker
      call('RPUSH', key_reply(owner), reply_text(id, job, 'inline', result))
      call('PEXPIRE', key_reply(owner), ENDED_MS)
      call('HINCRBY', key_meta(fn), 'succeeded', '1')
      call('HINCRBY', key_meta(fn), 'returned', '1')
      call('HINCRBY', key_meta(fn), histogram, '1')
      if run_ms ~= '0' then call('HINCRBY', key_meta(fn), 'run_ms', run_ms) end
      call('ZADD', key_active(), now_us_text, fn)
      become_idle(lane, worker, slot)
      return { { 'succeeded' }, {} }
    end
  end
end
