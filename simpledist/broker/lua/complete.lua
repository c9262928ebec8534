-- complete: attempts that came to an outcome end their jobs; the worker's next jobs come back in the same step.
-- The first *value* wins, from any attempt: the functions are pure. An *error* counts only from the current fence.
-- ARGV: worker nonce again(0|1) n, then n times: lane id fence kind(value|error|partial) run_ms error result
--       (error: a line for people, then, where there are any, a line with its place and the traceback; of the value of
--       a batch: `batch <returned> <raised>`, and on the lines below the same of one that raised)
--       ('' = the bytes were SET before, under id and fence: what does not count must not replace what does),
--       then take(0|1) [lane deep(0: none, its pop is behind this) ahead n_slots slots... idle_for(a lane|'')]
-- Replies: words (succeeded | failed | told | already | stale | gone), then claimed jobs as in claim

local worker, nonce, again, n = arg(), arg(), arg() == '1', number()
local words, out = {}, {}
call('HDEL', key_suspects(), worker)

-- Tells each worker that had refused the job that another one could do it. After three such strikes it withdraws the
-- function.
local function strike_refusers(lane, id, job)
  for refuser in string.gmatch(job.refused_by, '%S+') do
    if refuser ~= worker and call('HEXISTS', key_job(id), 'no_strike:' .. refuser) == 0 then
      call('RPUSH', key_control(refuser), 'strike ' .. lane)
      call('PEXPIRE', key_control(refuser), CONTROL_MS)
    end
  end
end

-- Tells the clients of a batch, whose front call is slow, what is finished; they send again what is behind that call.
-- The job goes on, and its end tells all of it once more: nothing is lost if this word is.
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
  local lane, id, fence, kind = arg(), arg(), arg(), arg()
  local run_ms, error, result = arg(), arg(), arg()
  local staged = result == '' and key_staged_result(id .. ':' .. fence)
  local job = glance(id)
  if kind ~= 'partial' then unhold(lane, id, fence, worker) end
  lane = job and job.lane or lane
  if kind == 'partial' then
    words[i] = tell_partial(id, job, fence, run_ms, result)
  elseif not job then
    words[i] = 'gone'
  elseif ENDED[job.state] then
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
      returned, raised, told = string.match(error, '^batch (%d+) (%d+)\n?(.*)$')
      returned, raised = tonumber(returned), tonumber(raised)
    end
    if told ~= '' then
      local line, where, trace = string.match(told .. '\n\n', '^([^\n]*)\n([^\n]*)\n(.-)\n*$')
      if kind == 'error' then fields.error = line end
      note_failure(lane, id, string.match(line, '^[^:%s]+') or 'error', where, trace, raised)
    end
    if job.refused_by then strike_refusers(lane, id, job) end
    if job.cache and kind == 'value' then keep(lane, id, job, result) end
    finish(lane, id, job, words[i], fields, place, result)
    count_calls(lane, returned, raised, run_ms)
  end
  if staged then call('DEL', staged) end
end
flush()
if arg() == '0' then return { words, out } end

--- The worker asks for its next jobs.

local order = read_order(arg(), worker, nonce, out)
if again then repeat_claims(worker, nonce, out) end
local row = #out == 0 and registered(worker)
if row then
  share(order, row)
  take(order)
  if order.left then put_back(order.lane, order.left) end
  not_idle(order)
  if order.filled == 0 and order.free > 0 then become_idle(order.lane, worker, order.slots[1]) end
  flush()
end
return { words, out }
