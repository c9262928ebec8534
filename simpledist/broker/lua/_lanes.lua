-- Stands before everything else: how the name of a lane is read (broker/lane.py says the same in Python).
--   lane = function ("+" tag)* ["~" 12 hex digits: its code] ["!high" | "!low"]
-- Verbs take a lane where they take a function: each lane has a list and a ledger of its own. Statistics belong to the
-- function.

local function function_of(lane) return string.match(lane, '^[^+~!]+') end

local function is_plain(lane) return not string.find(lane, '[+~!]') end

-- The lane of the same code without tags and priority: the one that `beat` gives to a worker and writes into its offer.
local function code_lane(lane)
  if not string.find(lane, '[+!]') then return lane end
  return function_of(lane) .. (string.match(lane, '~%x+') or '')
end

-- The lane of other code, with the tags and the priority of this one.
local function on_code_lane(lane, other)
  return function_of(lane) .. (string.match(lane, '%+[^~!]*') or '') .. (string.match(other, '~%x+') or '')
    .. (string.match(lane, '!.*$') or '')
end

-- What the verbs keep of a lane stands in its meta; that of any other than the plain lane goes by itself.
local function keep_meta(lane)
  if not is_plain(lane) then call('PEXPIRE', key_meta(lane), UNFINISHED_MS) end
end
