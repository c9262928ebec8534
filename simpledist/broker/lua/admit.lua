-- admit: blobs that calls name. Those that are there live on, and room is kept for those that fit into the budget and
-- are about to be put. Blobs that no client has asked for any more are no longer counted: they have expired.
-- ARGV: budget_bytes n, then n times: name bytes
-- Replies: a word each: there | put | full

local budget, n = number(), number()
local blobs, total, count, words = key_blobs(), 0, 0, {}
call('ZREM', blobs, '')
for _, member in ipairs(call('ZRANGEBYSCORE', blobs, '-inf', now, 'LIMIT', '0', BATCH_ITEMS)) do
  call('ZREM', blobs, member)
end
for _, member in ipairs(call('ZRANGE', blobs, '0', '-1')) do
  total = total + (tonumber(string.match(member, ' (%d+)$')) or 0)
  count = count + 1
end

for i = 1, n do
  local name, bytes = arg(), arg()
  local member = name .. ' ' .. bytes
  if call('PEXPIRE', key_blob(name), BLOB_MS) == 1 then
    words[i] = 'there'
    call('ZADD', blobs, text(now_ms + BLOB_MS), member)
  elseif call('ZSCORE', blobs, member) then
    words[i] = 'put' -- the client that was about to put it may be gone
  elseif total + tonumber(bytes) <= budget and count < BATCH_ITEMS then
    words[i] = 'put'
    call('ZADD', blobs, text(now_ms + ENDED_MS), member)
    total, count = total + tonumber(bytes), count + 1
  else
    words[i] = 'full'
  end
end
call('PEXPIRE', blobs, BLOB_MS)
return words
