-- fail: attempts that the cluster, not the function, brought to an end.
-- "crashed" (the child died) goes back to the queue until CRASH_CAP; every other word ends the job: its client runs it.
-- ARGV: worker n, then n times: function id fence why error
-- Replies: a word each: requeued | failed | already | stale | gone

local worker, n = arg(), number()
local words = {}
call('HDEL', key_suspects(), worker)
for i = 1, n do
  local fn, id, fence, why, error = arg(), arg(), arg(), arg(), arg()
  local job = job_of(id)
  if not job then
    words[i] = 'gone'
  elseif ended[job.state] then
    words[i] = 'already'
  elseif job.fence ~= fence then
    words[i] = 'stale'
  elseif why == 'crashed' and call('HINCRBY', key_job(id), 'crashes', 1) < CRASH_CAP then
    requeue(fn, id, job, 'crashed')
    note_failure(fn, id, 'crashed', string.gsub(string.sub(error, 1, 100), '%d+', '#'), '')
    bump(fn, 'child_deaths')
    words[i] = 'requeued'
  else
    give_up(fn, id, job, why, error)
    words[i] = 'failed'
  end
  unhold(fn, id, fence, worker)
end
flush()
return words
