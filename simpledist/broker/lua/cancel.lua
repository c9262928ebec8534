-- cancel: a client no longer wants these jobs; or an operator (client '') takes them off the cluster: whoever waits for
-- one is told to run it (called_off), for only its caller may give a call up.
-- ARGV: client spare_running(0|1) n, then n times: lane id
-- Replies: a word each: cancelled (queued: gone; running: its worker is told) | running (spared) | ended (its outcome is
--          here or on its way) | gone (nothing is left of it: not even the outcome, if it has ended)

local client, spare_running, n = arg(), arg() == '1', number()
local words, touched = {}, {}
call('HDEL', key_suspects(), client)

-- Redis may have lost the result, and nothing else (a memory policy that evicts).
local function has_outcome(id, job)
  return job.state == 'cancelled' or job.why or call('EXISTS', key_result(id)) == 1
end

local function tell_worker(id, job)
  call('RPUSH', key_control(job.worker), 'cancel ' .. id .. ':' .. job.fence)
  call('PEXPIRE', key_control(job.worker), CONTROL_MS)
end

for i = 1, n do
  local fn, id = arg(), arg()
  local job = job_of(id)
  fn = job and job.lane or fn
  if not job then
    words[i] = 'gone'
  elseif ended[job.state] then
    words[i] = has_outcome(id, job) and 'ended' or 'gone'
  elseif spare_running and job.state == 'running' then
    words[i] = 'running'
  elseif client == '' then
    words[i] = 'cancelled'
    touched[fn] = true
    if job.state == 'running' then tell_worker(id, job) end
    give_up(fn, id, job, 'called_off', 'called off by an operator')
  else
    words[i] = 'cancelled'
    call('HDEL', key_job(id), 'waiting:' .. client)
    local others = false
    for _, other in ipairs(job.waiting) do others = others or other ~= client end
    if not others and job.state == 'queued' then
      drop(fn, id, job)
      touched[fn] = true
      bump(fn, 'cancelled')
    elseif not others then
      unhold(fn, id, job.fence, job.worker)
      note_attempt(fn, id, job, 'cancelled', job.worker, text(now_ms - job.fence / 1000), nil)
      call('DEL', key_call(id))
      if job.address then unjoin(id, job) end
      tell_worker(id, job)
      call('HDEL', key_job(id), 'fence')
      call('HSET', key_job(id), 'state', 'cancelled', 'ended', now)
      call('PEXPIRE', key_job(id), ENDED_MS)
      bump(fn, 'cancelled')
    end
  end
end
for fn in pairs(touched) do
  if call('ZCARD', key_queued(fn)) == 0 then call('DEL', key_queue(fn)) end
end
flush()
return words
