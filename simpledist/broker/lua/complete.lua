-- complete: attempts that came to an outcome end their jobs; the worker's next jobs come back in the same step.
-- The first *value* wins, whoever brings it: the functions are pure. An *error* counts only from the current fence.
-- ARGV: worker nonce again(0|1) n, then n times: lane id fence kind(value|error|partial) run_ms error result
--       (error: a line for people, then, where there are any, a line with its place and the traceback; of the value of
--       a chunk: `chunk <returned> <raised>`, and on the lines below the same of one that raised)
--       ('' = the bytes were SET beside before, under id and fence: what does not count must not replace what does),
--       then take(0|1) [lane deep(0: none, its pop is behind this) ahead n_slots slots... idle_for(a lane|'')]
-- Replies: words (succeeded | failed | told | already | stale | gone), then claimed jobs as in claim

-- The short way of a lone call: a small value from the attempt that counts, of a job that its own client alone waits for;
-- and the worker takes nothing. Line by line what the long way below does to any number of jobs of every kind.
if ARGV[4] == '1' and ARGV[8] == 'value' and ARGV[10] == '' and ARGV[14] == '0' then
  local worker, fn, id, fence, run_ms, result = ARGV[1], ARGV[5], ARGV[6], ARGV[7], ARGV[9], ARGV[11]
  local owner, job = owner_of(id), glance(id)
  local counts = job and job.state == 'running' and job.fence == fence and not job.shared and job.waiting[1]
    and not job.refused_by
  if counts and result ~= '' and #result <= INLINE_BYTES and ARGV[13] == fn and (ARGV[18] == '' or ARGV[18] == fn) then
    local counted = function_of(fn)
    call('HDEL', key_suspects(), worker)
    call('HDEL', key_held(worker), fn .. ':' .. id .. ':' .. fence)
    call('HDEL', key_current(fn), id .. ':' .. fence)
    call('DEL', key_call(id))
    call('SET', key_result(id), result, 'PX', ENDED_MS)
    call('HSET', key_job(id), 'state', 'succeeded', 'ended', now, 'fence', '', 'worker', worker, 'run_ms', run_ms)
    call('PEXPIRE', key_job(id), ENDED_MS)
    flush_recent(counted, { attempt_line(id, job, 'succeeded', worker, run_ms) })
    job.state, job.worker, job.run_ms = 'succeeded', worker, run_ms
    call('RPUSH', key_reply(owner), reply_text(id, job, 'inline', result))
    call('PEXPIRE', key_reply(owner), ENDED_MS)
    roll(counted)
    call('HINCRBY', key_meta(counted), 'succeeded', '1')
    call('HINCRBY', key_meta(counted), 'returned', '1')
    call('HINCRBY', key_meta(counted), 'run:' .. bucket(tonumber(run_ms)), '1')
    if run_ms ~= '0' then call('HINCRBY', key_meta(counted), 'run_ms', run_ms) end
    call('ZADD', key_active(), text(now_us), counted)
    waits(fn, worker, ARGV[17])
    return { { 'succeeded' }, {} }
  end
end

---

local worker, nonce, again, n = arg(), arg(), arg() == '1', number()
local words, out = {}, {}
call('HDEL', key_suspects(), worker)

-- Another worker could do what these had refused: each of them hears it, and withdraws a function after three times.
local function strike_refusers(fn, job)
  for refuser in string.gmatch(job.refused_by, '%S+') do
    if refuser ~= worker then
      call('RPUSH', key_control(refuser), 'strike ' .. fn)
      call('PEXPIRE', key_control(refuser), CONTROL_MS)
    end
  end
end

-- Of a chunk whose front call is slow: its clients hear what is finished and send what is behind it again. The job goes
-- on, and its end will tell all of it once more: nothing is lost with this word.
local function tell_partial(id, job, fence, run_ms, result)
  if not job or job.state ~= 'running' or job.fence ~= fence then return 'stale' end
  job.run_ms = run_ms
  for _, client in ipairs(job.waiting) do
    gather('RPUSH', key_reply(client), reply_text(id, job, 'inline', result))
    lives_on[key_reply(client)] = ENDED_MS
  end
  return 'told'
end

for i = 1, n do
  local fn, id, fence, kind = arg(), arg(), arg(), arg()
  local run_ms, error, result = arg(), arg(), arg()
  local staged = result == '' and key_staged_result(id .. ':' .. fence)
  local job = glance(id)
  if kind ~= 'partial' then unhold(fn, id, fence, worker) end
  fn = job and job.lane or fn
  if kind == 'partial' then
    words[i] = tell_partial(id, job, fence, run_ms, result)
  elseif not job then
    words[i] = 'gone'
  elseif ended[job.state] then
    words[i] = 'already'
  elseif kind == 'error' and job.fence ~= fence then
    words[i] = 'stale'
  else
    local place = #result > INLINE_BYTES and 'beside' or 'inline'
    if staged then
      place = call('EXISTS', staged) == 1 and 'beside' or 'none'
      if place == 'beside' then call('RENAME', staged, key_result(id)) end
    end
    words[i] = kind == 'value' and 'succeeded' or 'failed'
    local fields = { worker = worker, run_ms = run_ms }
    local returned, raised, told = kind == 'value' and 1 or 0, kind == 'error' and 1 or 0, error
    if kind == 'value' and error ~= '' then
      returned, raised, told = string.match(error, '^chunk (%d+) (%d+)\n?(.*)$')
      returned, raised = tonumber(returned), tonumber(raised)
    end
    if told ~= '' then
      local line, where, trace = string.match(told .. '\n\n', '^([^\n]*)\n([^\n]*)\n(.-)\n*$')
      if kind == 'error' then fields.error = line end
      note_failure(fn, id, string.match(line, '^[^:%s]+') or 'error', where, trace, raised)
    end
    if job.refused_by then strike_refusers(fn, job) end
    if job.cache and kind == 'value' then keep(fn, id, job, result) end
    finish(fn, id, job, words[i], fields, place, result)
    count_calls(fn, returned, raised, run_ms)
  end
  if staged then call('DEL', staged) end
end
flush()
if arg() == '1' then
  local order = read_order(arg(), worker, nonce, out)
  if again then repeat_claims(worker, nonce, out) end
  local row = #out == 0 and registered(worker)
  if row then
    share(order, row)
    take(order)
    if order.left then put_back(order.fn, order.left) end
    not_idle(order)
    if order.filled == 0 and order.free > 0 then waits(order.fn, worker, order.slots[1]) end
    flush()
  end
end
return { words, out }
