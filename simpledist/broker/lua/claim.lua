-- claim: elements that BLPOP gave become running jobs; free slots left are filled from the same list. A slot may be
-- named several times: so many jobs it takes, short ones, at most its share of the queue.
-- ARGV: worker nonce again(0|1) function n_popped popped... n_slots slots...
-- Replies: flat, 7 a job: function id fence slot attempt queued_ms call ('' = beside)
-- Nothing for a worker that Redis does not know or holds for dead: it must beat first.
-- A popped element for which no slot is left goes back unclaimed: the ledger still has it, mend_queue finds it.

local worker, nonce, again, fn = arg(), arg(), arg() == '1', arg()
local popped = {}
for i = 1, number() do popped[i] = arg() end
local slots = read_slots()
local out = {}
if again then
  repeat_claims(worker, nonce, out)
  if #out > 0 then return out end
end
call('HDEL', key_suspects(), worker)
local row = registered(worker)
if not row then return out end
local order = { fn = fn, worker = worker, nonce = nonce, slots = slots, filled = 0, size = 0, out = out }
share(order, row)
claim_elements(order, popped)
take(order)
flush()
return out
