-- ack: a client has read these outcomes; their bytes go at once. It also brings its counts of local runs.
-- ARGV: client n ids... m, then m times: function why number
-- Replies: ok

local client = arg()
call('HDEL', key_suspects(), client)
for _ = 1, number() do
  local id = arg()
  if call('HDEL', key_job(id), 'waiting:' .. client) == 1 then
    local job = job_of(id)
    if not job or #job.waiting == 0 then call('DEL', key_data(id), key_beside_call(id), key_beside_result(id)) end
  end
end
for _ = 1, number() do
  local fn, why, times = arg(), arg(), arg()
  bump(fn, 'local:' .. why, times)
end
return 'ok'
