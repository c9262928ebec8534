-- ack: a client has read these outcomes; a job that no other client waits for goes at once, with its bytes. It also
-- brings the client's counts of local runs.
-- ARGV: client n ids... m, then m times: function (fib+gpu: of calls that need a tag) why number
-- Replies: ok

local client = arg()
local waiting = 'waiting:' .. client
call('HDEL', key_suspects(), client)
local gone = {}
for _ = 1, number() do
  local id = arg()
  local waits, shared, state = unpack(call('HMGET', key_job(id), waiting, 'shared', 'state'))
  if waits then
    local last = not shared
    if shared or not ENDED[state] then
      call('HDEL', key_job(id), waiting)
      local job = job_of(id)
      last = not job or #job.waiting == 0
    end
    if last and ENDED[state] then
      local n = #gone
      gone[n + 1], gone[n + 2], gone[n + 3] = key_job(id), key_call(id), key_result(id)
    end
  end
end
for from = 1, #gone, 3000 do
  call('DEL', unpack(gone, from, math.min(from + 2999, #gone)))
end
local n_counts = number()
if n_counts == 0 then return 'ok' end

---

for _ = 1, n_counts do
  local lane, why, times = arg(), arg(), arg()
  local fn = function_of(lane)
  bump(fn, 'local:' .. why, times)
  call('SADD', key_functions(), fn)
  -- Wanted, and offered by no worker: most often a version, or a tag, that was forgotten. People should see it.
  if why == 'no_worker' and lane == fn then call('HSET', key_meta(fn), 'wanted', text(now_ms)) end
  if why == 'no_worker' and lane ~= fn then
    call('HSET', key_meta(fn), 'wanted_tags', now .. ' ' .. string.sub(lane, #fn + 1))
  end
end
flush()
return 'ok'
