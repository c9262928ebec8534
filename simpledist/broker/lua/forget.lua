-- forget: an operator removes what Redis keeps of a function that no worker offers, and of which no job waits or runs.
-- ARGV: function
-- Replies: forgotten | more (it has more kept values: call it again) | busy (jobs wait or run) | offered (by a worker)
--          | disabled (it would be enabled by that) | unknown

local fn = arg()
call('HDEL', key_suspects(), '')
local lanes = call('HKEYS', key_lanes(fn))
lanes[#lanes + 1] = fn
for _, lane in ipairs(lanes) do
  if call('ZCARD', key_queued(lane)) > 0 or call('HLEN', key_current(lane)) > 0 then return 'busy' end
end
if call('HLEN', key_offers(fn)) > 0 then return 'offered' end
if call('HEXISTS', key_meta(fn), 'disabled') == 1 then return 'disabled' end

forget_kept(fn, call('ZRANGE', key_cached(fn), 0, BATCH_ITEMS - 1))
if call('EXISTS', key_cached(fn)) == 1 then return 'more' end
local known = call('SREM', key_functions(), fn) + call('ZREM', key_active(), fn)
for _, lane in ipairs(lanes) do
  known = known + call('DEL', key_meta(lane))
  call('DEL', key_queue(lane))
end
call('DEL', key_lanes(fn), key_history(fn), key_recent(fn), key_failures(fn))
return known > 0 and 'forgotten' or 'unknown'
