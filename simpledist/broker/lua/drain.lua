-- drain: an operator asks workers to drain. Each hears it on its control list, withdraws its offers, finishes its jobs
-- and leaves.
-- ARGV: n worker...
-- Replies: a word each: asked | draining (it does so already) | dead | gone (Redis does not know it)

local words = {}
call('HDEL', key_suspects(), '')
for i = 1, number() do
  local worker = arg()
  local row = call('HGET', key_workers(), worker)
  if not row then
    words[i] = 'gone'
  elseif row_dead(row) then
    words[i] = 'dead'
  elseif row_draining(row) then
    words[i] = 'draining'
  else
    words[i] = 'asked'
    call('RPUSH', key_control(worker), 'drain')
    call('PEXPIRE', key_control(worker), CONTROL_MS)
  end
end
return words
