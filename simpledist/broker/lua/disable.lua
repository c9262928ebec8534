-- disable: an operator disables a function, or enables it again. While it is disabled, `live` answers so: its calls run
-- at their callers. What is queued goes home now, what runs goes on, and kept values still answer.
-- ARGV: function disabled(0|1)
-- Replies: disabled | enabled | unknown, how many jobs went home, more(0|1) (then call it again)

local fn, off = arg(), arg() == '1'
call('HDEL', key_suspects(), '')
if not (call('ZSCORE', key_active(), fn) or call('HEXISTS', key_meta(fn), 'disabled') == 1) then
  return { 'unknown', 0, 0 }
end
tally(fn)
if not off then
  call('HDEL', key_meta(fn), 'disabled')
  flush()
  return { 'enabled', 0, 0 }
end

if call('HEXISTS', key_meta(fn), 'disabled') == 0 then call('HSET', key_meta(fn), 'disabled', now) end
local sent, more = 0, 0
-- Their clients run them, and count them as such. No child or worker failed, so no failure is noted.
local function send_home(lane, id)
  local job = job_of(id)
  if job and job.state == 'queued' and (job.lane or lane) == lane then
    finish(lane, id, job, 'failed', { why = 'disabled', error = 'an operator disabled the function' }, 'none', '')
    sent = sent + 1
  else
    call('ZREM', key_queued(lane), id)
  end
end
local lanes = { [fn] = true }
for _, lane in ipairs(call('HKEYS', key_lanes(fn))) do
  lanes[lane] = true
end
for lane in pairs(lanes) do
  if sent < BATCH_ITEMS then
    for _, id in ipairs(call('ZRANGE', key_queued(lane), '0', text(BATCH_ITEMS - sent - 1))) do
      send_home(lane, id)
    end
  end
  if call('ZCARD', key_queued(lane)) == 0 then
    call('DEL', key_queue(lane))
  else
    more = 1
  end
end
flush()
return { 'disabled', sent, more }
