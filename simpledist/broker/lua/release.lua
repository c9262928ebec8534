-- release: a worker gives back what it holds (a drain, or it had not begun); the attempt does not count.
-- ARGV: worker n, then n times: lane id fence
-- Replies: a word each: requeued | stale | gone

local worker, n = arg(), number()
local words = {}
call('HDEL', key_suspects(), worker)
for i = 1, n do
  local lane, id, fence = arg(), arg(), arg()
  words[i] = release(lane, id, fence)
  unhold(lane, id, fence, worker)
end
flush()
return words
