-- claim: elements that BLPOP gave become running jobs; free slots left are filled from the same list. Slots may be
-- several jobs deep: short ones, at most their share of the queue. The last `ahead` of them are busy.
-- ARGV: worker nonce again(0|1) lane n_popped popped... deep ahead n_slots slots... idle_for(a lane|'')
-- Replies: flat, 7 a job: lane id fence slot attempt queued_ms call ('' = beside)
-- Nothing for a worker that Redis does not know or holds for dead: it must beat first; what it popped goes back.
-- A popped element for which no slot is left goes back unclaimed: the ledger still has it, mend_queue finds it. So does a
-- job that this worker has refused, while another one would take it.

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
  put_back(fn, popped)
  return out
end
share(order, row)
claim_elements(order, popped)
take(order)
if order.left then put_back(fn, order.left) end
not_idle(order)
flush()
return out
