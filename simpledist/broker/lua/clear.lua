-- clear: the kept values of a function are forgotten, and those of its jobs in flight will not be kept.
-- ARGV: function
-- Replies: how many, more(0|1) (then call it again), Redis' time in ms

local fn = arg()
local members = call('ZRANGE', key_cached(fn), 0, BATCH_ITEMS - 1)
forget_kept(fn, members)
call('HINCRBY', key_meta(fn), 'cleared', '1')
return { #members, call('EXISTS', key_cached(fn)), now_ms }
