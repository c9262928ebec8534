-- fail: attempts that the cluster, not the function, brought to an end. "crashed" (the child died) goes back to the
-- queue until CRASH_CAP. What this worker refuses, and another might not, goes back for that one, if there is one,
-- until REFUSAL_CAP; this worker then passes over the lane for a while. Everything else ends the job: its client runs
-- it.
-- ARGV: worker n, then n times: lane id fence why refused(1: another worker may do better | 0) error
-- Replies: a word each: requeued | failed | already | stale | gone

local worker, n = arg(), number()
local words = {}
call('HDEL', key_suspects(), worker)

-- Returns whether another worker may try a refused job. A worker that has refused it is not asked again.
local function goes_to_another(lane, job)
  local refusers, times = { [worker] = true }, 1
  for refuser in string.gmatch(job.refused_by or '', '%S+') do
    refusers[refuser], times = true, times + 1
  end
  return times < REFUSAL_CAP and another_takes(lane, refusers)
end

for i = 1, n do
  local held_lane, id, fence, why, refused, error = arg(), arg(), arg(), arg(), arg() == '1', arg()
  local job = job_of(id)
  local lane = job and job.lane or held_lane
  if not job then
    words[i] = 'gone'
  elseif ENDED[job.state] then
    words[i] = 'already'
  elseif job.fence ~= fence then
    words[i] = 'stale'
  elseif why == 'crashed' and call('HINCRBY', key_job(id), 'crashes', '1') < CRASH_CAP then
    requeue(lane, id, job, 'crashed')
    note_trouble(lane, id, 'crashed', error)
    bump(lane, 'child_deaths')
    words[i] = 'requeued'
  elseif refused and goes_to_another(lane, job) then
    tell_pass(lane, worker)
    call('HSET', key_job(id), 'refused_by', job.refused_by and job.refused_by .. ' ' .. worker or worker)
    -- Another worker does it, because it has other code or more memory: that is no fault of this one's.
    if why == 'other_code' or why == 'memory' then call('HSET', key_job(id), 'no_strike:' .. worker, '1') end
    requeue(lane, id, job, why)
    note_trouble(lane, id, why, error, worker)
    bump(lane, 'refusals')
    words[i] = 'requeued'
  else
    give_up(lane, id, job, why, error, refused and worker)
    words[i] = 'failed'
  end
  unhold(held_lane, id, fence, worker)
end
flush()
return words
