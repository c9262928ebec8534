-- Lanes: how their names are read (broker/lane.py reads them in Python), and which code has which lane.
--   lane = function ("+" tag)* ["~" 12 hex digits: its code] ["!high" | "!low"]
-- Every verb takes a lane: each has a list and a ledger of its own. Statistics belong to the function.

local function function_of(lane) return string.match(lane, '^[^+~!]+') end

local function is_plain(lane) return not string.find(lane, '[+~!]') end

-- Returns the lane of the same code without tags and priority: `beat` gives it to a worker, and writes it into its
-- offer.
local function code_lane(lane)
  if not string.find(lane, '[+!]') then return lane end
  return function_of(lane) .. (string.match(lane, '~%x+') or '')
end

-- Returns the lane of other code, with the tags and the priority of this one.
local function on_code_lane(lane, other)
  -- stylua: ignore
  return function_of(lane) .. (string.match(lane, '%+[^~!]*') or '') .. (string.match(other, '~%x+') or '')
    .. (string.match(lane, '!.*$') or '')
end

-- Renews the TTL of what the verbs keep of a lane, unless the lane is a plain one, whose meta is permanent.
local function keep_meta(lane)
  if not is_plain(lane) then call('PEXPIRE', key_meta(lane), UNFINISHED_MS) end
end

-- Returns the text by which `lanes` knows a code. Another protocol counts as other code: their calls never meet.
local function code_of(protocol, digest) return '{"protocol":' .. protocol .. ',"digest":"' .. digest .. '"}' end

-- Returns the lanes of a function as a table of their codes, and the lane that this code has.
local function lanes_of(fn, code)
  local known, mine = {}, nil
  local flat = call('HGETALL', key_lanes(fn))
  for i = 1, #flat, 2 do
    known[flat[i]] = flat[i + 1]
    if flat[i + 1] == code and flat[i] == code_lane(flat[i]) then mine = flat[i] end
  end
  return known, mine
end

-- Returns whether jobs wait or run on the lane of a code.
local function has_jobs(assigned, known)
  local same = { [assigned] = true }
  for lane in pairs(known) do
    if code_lane(lane) == assigned then same[lane] = true end
  end
  for lane in pairs(same) do
    if call('ZCARD', key_queued(lane)) > 0 or call('HLEN', key_current(lane)) > 0 then return true end
  end
  return false
end

-- Returns whether the lane of a code is in use: it has jobs, or a live worker offers it.
local function in_use(assigned, known)
  return has_jobs(assigned, known) or ask_offers(assigned, ANYBODY, call('HGET', key_meta(assigned), 'witness')) == 'ok'
end

local function forget_lane(fn, assigned, known)
  for lane in pairs(known) do
    if code_lane(lane) == assigned then call('HDEL', key_lanes(fn), lane) end
  end
end

-- Returns the code of those who offer the plain lane, in case that Redis has lost what `lanes` held.
local function offered_code(fn)
  for _, worker in ipairs(some_of(key_offers(fn), SUSPECTS)) do
    local offer = call('HGET', key_offers(fn), worker)
    local lane, digest, protocol = string.match(offer, '^{"lane":"([^"]*)","digest":"(%x*)","protocol":(%d+)')
    if lane == fn and beats(worker) then return code_of(protocol, digest) end
  end
end

-- Moves all workers that offer a lane, on which there is no job, to the plain one. Until they have heard of it, jobs
-- that come wait in the plain list.
local function move_offers(fn, from) -- rare
  local head, flat = '{"lane":"' .. from .. '"', call('HGETALL', key_offers(fn))
  for i = 1, #flat, 2 do
    local worker, offer = flat[i], flat[i + 1]
    if string.sub(offer, 1, #head) == head then
      call('HSET', key_offers(fn), worker, '{"lane":"' .. fn .. '"' .. string.sub(offer, #head + 1))
      call('RPUSH', key_control(worker), 'look')
      call('PEXPIRE', key_control(worker), CONTROL_MS)
    end
  end
end

-- Gives a code its lane. The code that is offered first has the plain lane; another one gets that lane only when it is
-- not in use. A code has one lane, and leaves it only for the plain one, when no job is on it.
local function assign_lane(fn, protocol, digest)
  local code = code_of(protocol, digest)
  local known, mine = lanes_of(fn, code)
  if mine == fn then return fn, code end
  local owner = known[fn] or offered_code(fn)
  local free = not owner or owner == code or not in_use(fn, known)
  if free and not (mine and (has_jobs(mine, known) or call('HLEN', key_offers(fn)) > WITHDRAWN_MOST)) then
    for lane in pairs(known) do
      if code_lane(lane) == fn then call('HSET', key_lanes(fn), lane, code) end
    end
    call('HSET', key_lanes(fn), fn, code)
    if mine then
      forget_lane(fn, mine, known)
      move_offers(fn, mine)
    end
    return fn, code
  end
  if mine then return mine, code end
  for lane in pairs(known) do
    if lane ~= fn and lane == code_lane(lane) and not in_use(lane, known) then forget_lane(fn, lane, known) end
  end
  mine = fn .. '~' .. (#digest >= 12 and string.sub(digest, 1, 12) or string.format('%012x', protocol))
  if known[mine] then mine = fn .. '~' .. string.sub(redis.sha1hex(code), 1, 12) end
  call('HSET', key_lanes(fn), mine, code)
  return mine, code
end

-- Returns whether a worker with these tags (JSON) has all those of a lane.
local function has_tags(lane, tags)
  for tag in string.gmatch(string.match(lane, '%+[^~!]*') or '', '[^+]+') do
    if not (tags and string.find(tags, '"' .. tag .. '"', 1, true)) then return false end
  end
  return true
end

-- Adds to `out` all lanes that a worker with this code and these tags takes jobs from.
local function add_lanes_to_pop(fn, code, tags, out)
  for lane, its in pairs((lanes_of(fn, code))) do
    if its == code and has_tags(lane, tags) then out[#out + 1] = lane end
  end
end

-- Opens a lane with tags or a priority when it is used for the first time: the workers of its code that have these
-- tags are asked to look for their lanes. All of them: of many workers few may have a tag.
local function open_lane(lane) -- rare
  local fn = function_of(lane)
  if call('HEXISTS', key_lanes(fn), lane) == 1 then return end
  for _, worker in ipairs(some_of(key_offers(fn), WITHDRAWN_MOST)) do
    local offer = call('HGET', key_offers(fn), worker)
    local its = string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1
    if its and has_tags(lane, string.match(offer, '"tags":(%b[])')) then
      local digest, protocol = string.match(offer, '"digest":"(%x*)","protocol":(%d+)')
      call('HSET', key_lanes(fn), lane, code_of(protocol, digest))
      call('RPUSH', key_control(worker), 'look')
      call('PEXPIRE', key_control(worker), CONTROL_MS)
    end
  end
end
