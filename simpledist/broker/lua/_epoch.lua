-- The epoch: one that is not the one of before tells a client that Redis was emptied.

-- Returns the epoch. If there is none, it begins now, and all workers are called.
local function epoch()
  local value = call('GET', key_epoch())
  if not value then
    value = text(now_us)
    call('SET', key_epoch(), value)
    -- Workers that wait in BLPOP do not see that Redis was emptied: each takes this, beats, and puts it back.
    call('RPUSH', key_rollcall(), value)
    call('PEXPIRE', key_rollcall(), CONTROL_MS)
  end
  return value
end
