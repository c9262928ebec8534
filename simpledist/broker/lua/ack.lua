-- ack: a client has read these outcomes; a job that nobody else waits for goes at once, and its bytes with it. It also
-- brings its counts of local runs.
-- ARGV: client n ids... m, then m times: function why number
-- Replies: ok

local client = arg()
call('HDEL', key_suspects(), client)
local gone = {}
for _ = 1, number() do
  local id = arg()
  local waiting = 'waiting:' .. client
  local got = call('HMGET', key_job(id), waiting, 'shared', 'state')
  if got[1] then
    local last = not got[2]
    if got[2] or not ended[got[3]] then
      call('HDEL', key_job(id), waiting)
      local job = job_of(id)
      last = not job or #job.waiting == 0
    end
    if last and ended[got[3]] then
      local n = #gone
      gone[n + 1], gone[n + 2], gone[n + 3] = key_job(id), key_call(id), key_result(id)
    end
  end
end
for from = 1, #gone, 3000 do call('DEL', unpack(gone, from, math.min(from + 2999, #gone))) end
for _ = 1, number() do
  local fn, why, times = arg(), arg(), arg()
  bump(fn, 'local:' .. why, times)
  call('SADD', key_functions(), fn)
  -- Asked for and offered by nobody: a version that was forgotten, most often. People should see it.
  if why == 'no_worker' then call('HSET', key_meta(fn), 'wanted', text(now_ms)) end
end
flush()
return 'ok'
