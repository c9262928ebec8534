-- leave: a worker withdraws its offers (drain begins) or goes for good (final); a client only goes for good.
-- ARGV: worker|client final(0|1)
-- Replies: the number of jobs given back

local worker, final = arg(), arg() == '1'
call('HDEL', key_suspects(), worker)
local row = call('HGET', key_workers(), worker)
if row then withdraw_offers(worker, row) end
if not final then
  if row and not row_dead(row) and not string.match(row, '"draining":%d+}$', -28) then
    call('HSET', key_workers(), worker, string.sub(row, 1, -2) .. ',"draining":' .. now .. '}')
  end
  flush()
  return 0
end
local released = 0
for _, field in ipairs(call('HKEYS', key_held(worker))) do
  local fn, id, fence = split_held(field)
  if release(fn, id, fence) == 'requeued' then released = released + 1 end
  unhold(fn, id, fence, worker)
end
call('DEL', key_held(worker), key_control(worker), key_given(worker))
call('HDEL', key_workers(), worker)
call('HDEL', key_heartbeats(), worker)
call('HDEL', key_vitals(), worker)
call('HDEL', key_connections(), worker)
if call('HDEL', key_clients(), worker) == 1 then call('DEL', key_reply(worker)) end
flush()
return released
