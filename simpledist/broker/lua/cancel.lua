-- cancel: a client no longer wants these jobs; or an operator (client '') takes them off the cluster: a client that
-- waits for one is asked to run it (called_off), because only its caller may give a call up.
-- ARGV: client spare_running(0|1) n, then n times: lane id
-- Replies: a word each: cancelled (queued: gone; running: its worker hears of it) | running (spared) | ended (its outcome is
--          here or on its way) | gone (nothing is left of it: not even the outcome, if it has ended)

local client, spare_running, n = arg(), arg() == '1', number()
local words, touched = {}, {}
call('HDEL', key_suspects(), client)

-- Returns whether the outcome of an ended job is there: Redis may have lost just the result (a memory policy that
-- evicts).
local function has_outcome(id, job) return job.state == 'cancelled' or job.why or call('EXISTS', key_result(id)) == 1 end

local function tell_worker(id, job)
  call('RPUSH', key_control(job.worker), 'cancel ' .. id .. ':' .. job.fence)
  call('PEXPIRE', key_control(job.worker), CONTROL_MS)
end

local function others_wait(job)
  for _, other in ipairs(job.waiting) do
    if other ~= client then return true end
  end
  return false
end

local function call_off(lane, id, job)
  if job.state == 'running' then tell_worker(id, job) end
  give_up(lane, id, job, 'called_off', 'called off by an operator')
end

local function stop_running(lane, id, job)
  unhold(lane, id, job.fence, job.worker)
  note_attempt(lane, id, job, 'cancelled', job.worker, text(now_ms - job.fence / 1000), nil)
  call('DEL', key_call(id))
  if job.address then unjoin(id, job) end
  tell_worker(id, job)
  call('HDEL', key_job(id), 'fence')
  call('HSET', key_job(id), 'state', 'cancelled', 'ended', now)
  call('PEXPIRE', key_job(id), ENDED_MS)
  bump(lane, 'cancelled')
end

local function give_call_up(lane, id, job)
  call('HDEL', key_job(id), 'waiting:' .. client)
  if others_wait(job) then return end
  if job.state == 'queued' then
    drop(lane, id, job)
    touched[lane] = true
    bump(lane, 'cancelled')
  else
    stop_running(lane, id, job)
  end
end

for i = 1, n do
  local lane, id = arg(), arg()
  local job = job_of(id)
  lane = job and job.lane or lane
  if not job then
    words[i] = 'gone'
  elseif ENDED[job.state] then
    words[i] = has_outcome(id, job) and 'ended' or 'gone'
  elseif spare_running and job.state == 'running' then
    words[i] = 'running'
  elseif client == '' then
    words[i] = 'cancelled'
    touched[lane] = true
    call_off(lane, id, job)
  else
    words[i] = 'cancelled'
    give_call_up(lane, id, job)
  end
end
for lane in pairs(touched) do
  if call('ZCARD', key_queued(lane)) == 0 then call('DEL', key_queue(lane)) end
end
flush()
return words
