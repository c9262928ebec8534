-- claim: elements that BLPOP gave become running jobs; free slots left are filled from the same list. Slots may be
-- several jobs deep: short ones, at most their share of the queue. The last `ahead` of them are busy.
-- ARGV: worker nonce again(0|1) function n_popped popped... deep ahead n_slots slots... idle_for(a function|'')
-- Replies: flat, 7 a job: function id fence slot attempt queued_ms call ('' = beside)
-- Nothing for a worker that Redis does not know or holds for dead: it must beat first; what it popped goes back.
-- A popped element for which no slot is left goes back unclaimed: the ledger still has it, mend_queue finds it.

local worker, nonce, again, fn = arg(), arg(), arg() == '1', arg()
local popped = {}
for i = 1, number() do popped[i] = arg() end
local out = {}
local order = read_order(fn, worker, nonce, out)
if again then
  repeat_claims(worker, nonce, out)
  if #out > 0 then return out end
end
call('HDEL', key_suspects(), worker)
local row = registered(worker)
if not row then
  for i = #popped, 1, -1 do
    local stamp, id = split_element(popped[i])
    local head, trimmed = trim(fn)
    -- To the head only: it may be there already, sent back before. Where others are before it, mend_queue finds it.
    local first = stamp and trimmed and (not head or stamp < head)
    if first and tonumber(call('ZSCORE', key_queued(fn), id) or 0) == stamp then
      call('LPUSH', key_queue(fn), popped[i])
      call('PEXPIRE', key_queue(fn), UNFINISHED_MS)
    end
  end
  return out
end
share(order, row)
claim_elements(order, popped)
take(order)
not_idle(order)
flush()
return out
