-- claim: elements that BLPOP gave become running jobs; slots that are left are filled from the same list. A slot may be
-- several jobs deep: short ones, at most its share of the queue. The last `ahead` of the slots are busy.
-- ARGV: worker nonce again(0|1) lane n_popped popped... deep ahead n_slots slots... idle_for(a lane|'')
-- Replies: flat, 7 a job: lane id fence slot attempt queued_ms call ('' = in its own key)
-- A worker that Redis does not know, or holds for dead, gets nothing: it must beat first, and what it popped goes back.
-- A popped element without a slot goes back unclaimed: the ledger still has it, and repair_queue finds it. So does a
-- job that this worker has refused, if another one would take it.

local worker, nonce, again, lane = arg(), arg(), arg() == '1', arg()
local popped = {}
for i = 1, number() do
  popped[i] = arg()
end
local out = {}
local order = read_order(lane, worker, nonce, out)
if again then
  repeat_claims(worker, nonce, out)
  if #out > 0 then return out end
end
call('HDEL', key_suspects(), worker)
local row = registered(worker)
if not row then
  put_back(lane, popped)
  return out
end
share(order, row)
claim_elements(order, popped)
take(order)
if order.left then put_back(lane, order.left) end
not_idle(order)
flush()
return out
