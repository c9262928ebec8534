-- leave: a worker withdraws its offers (a drain begins) or goes for good (final); a client only goes for good.
-- ARGV: worker|client final(0|1)
-- Replies: the number of jobs given back

local who, final = arg(), arg() == '1'
call('HDEL', key_suspects(), who)
local row = call('HGET', key_workers(), who)
if row then withdraw_offers(who, row) end
if not final then
  if row and not row_dead(row) and not row_draining(row) then
    call('HSET', key_workers(), who, string.sub(row, 1, -2) .. ',"draining":' .. now .. '}')
  end
  flush()
  return 0
end
local released = 0
for _, field in ipairs(call('HKEYS', key_held(who))) do
  local lane, id, fence = split_held(field)
  if lane then
    if release(lane, id, fence) == 'requeued' then released = released + 1 end
    unhold(lane, id, fence, who)
  end
end
call('DEL', key_held(who), key_control(who), key_given(who))
forget_worker(who)
if forget_client(who) then call('DEL', key_reply(who)) end
flush()
return released
