-- Stands after _stats.lua: what workers offer, and `live`, the one answer to the question whether a call may travel.
-- An offer is text that only `beat` and `fail` write; patterns read it, for to decode JSON costs more than most verbs:
--   {"lane":"fib","digest":"","protocol":2,"keys":["1f2e3d4c"],"python":"3.11","tags":[],"since":1700000000000,
--    "leaves_at":0,"passes_until":0}
-- `leaves_at`: from then on it counts no more (0: for ever). `passes_until`: until then its worker passes over the lane,
-- because it refused a job of it.

local function fresh(beat) return beat and now_ms - tonumber(beat) < SILENT_MS end

-- What a call asks of a worker (records.Wish); without `digest` the call goes by name.
local function read_wish(json)
  local protocol, key, python, digest =
    string.match(json, '^{"protocol":(%d+),"key":"(%x*)","python":"([%d.]*)","digest":"(%x*)"}$')
  return { protocol = '"protocol":' .. protocol .. ',', key = '"' .. key .. '"',
    python = python ~= '' and '"python":"' .. python .. '"', digest = digest ~= '' and '"digest":"' .. digest .. '"' }
end

-- What stands of a client: its last sign of life, its connection, and the protocol that it speaks.
local function client_row(connection, wish)
  return now .. ' ' .. connection .. ' protocol:' .. string.match(wish, '^{"protocol":(%d+)')
end

-- Whoever offers a lane meets this wish.
local ANYBODY = { protocol = '', key = '' }

local function passes_over(offer) return tonumber(string.match(offer, '(%d+)}$', -15) or 0) > now_ms end

-- 'ok' where an offer meets the wish of a call on this lane; else what parts them, and with it a word for people.
local function met_by(offer, wish, lane)
  if not string.find(offer, wish.protocol, 1, true) then
    return 'protocol', string.match(offer, '"protocol":(%d+)') or '1'
  end
  local leaves_at = string.match(offer, '"leaves_at":(%d+)')
  if leaves_at ~= '0' and tonumber(leaves_at or 0) <= now_ms then return 'no_worker' end
  if wish.python and not string.find(offer, wish.python, 1, true) then return 'no_worker' end
  for tag in string.gmatch(string.match(lane, '%+[^~!]*') or '', '[^+]+') do
    local tags = string.match(offer, '"tags":(%b[])')
    if not (tags and string.find(tags, '"' .. tag .. '"', 1, true)) then return 'no_worker' end
  end
  if not string.find(offer, wish.key, 1, true) then
    local ids = string.gsub(string.match(offer, '"keys":%["([^%]]*)"%]') or '', '[",]+', ' ')
    return 'key', ids
  end
  if wish.digest and not string.find(offer, wish.digest, 1, true) then return 'other_code' end
  if string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1 then return 'ok' end
  return 'moved', on_code_lane(lane, string.match(offer, '^{"lane":"([^"]*)"') or '')
end

local NEARER = { no_worker = 0, protocol = 1, key = 2, other_code = 3, moved = 4 }

-- Asks every live worker that offers the function, the witness first: it was found last time. Of several answers the
-- one counts that comes nearest to 'ok'; behind it up to three different words for people.
local function ask_offers(lane, wish, witness)
  local offers = key_offers(function_of(lane))
  local offer = witness and call('HGET', offers, witness)
  if offer and met_by(offer, wish, lane) == 'ok' and fresh(call('HGET', key_heartbeats(), witness)) then return 'ok' end
  local flat = call('HGETALL', offers)
  local nearest, words = 'no_worker', {}
  for first = 1, #flat, 200 do
    local workers = {}
    for i = first, math.min(first + 199, #flat), 2 do workers[#workers + 1] = flat[i] end
    for i, beat in ipairs(call('HMGET', key_heartbeats(), unpack(workers))) do
      local answer, word = 'no_worker', nil
      if fresh(beat) then answer, word = met_by(flat[first + 2 * i - 1], wish, lane) end
      if answer == 'ok' then
        call('HSET', key_meta(lane), 'witness', workers[i])
        keep_meta(lane)
        return 'ok'
      end
      if NEARER[answer] > NEARER[nearest] then nearest, words = answer, {} end
      if answer == nearest and answer ~= 'no_worker' and #words < 3 then
        word = word or workers[i]
        if not string.find(table.concat(words, ' '), word, 1, true) then words[#words + 1] = word end
      end
    end
  end
  if nearest == 'moved' then return 'moved ' .. words[1] end
  if nearest == 'protocol' then nearest = 'no_worker protocol' end
  return #words > 0 and nearest .. ' ' .. table.concat(words, ' ') or nearest
end

-- Whether a call may travel on this lane: 'ok' | 'moved <lane>' (a worker with its code is there) | 'no_worker' |
-- 'no_worker protocol <numbers>' | 'other_code <workers>' | 'key <key ids of the workers>' | 'disabled'.
local function live(lane, wish)
  local witness, disabled = unpack(call('HMGET', key_meta(lane), 'witness', 'disabled'))
  if not is_plain(lane) then disabled = call('HGET', key_meta(function_of(lane)), 'disabled') end
  if disabled then return 'disabled' end
  return ask_offers(lane, wish, witness)
end

-- Calls run at their callers because the workers speak another protocol: those hear it, once a minute.
local function tell_other_protocol(lane, wish, answer)
  local fn = function_of(lane)
  local told = call('HGET', key_meta(fn), 'told')
  if not string.find(answer, 'no_worker protocol', 1, true) or told and now_ms - tonumber(told) < tonumber(CONTROL_MS) then return end
  call('HSET', key_meta(fn), 'told', now)
  for _, worker in ipairs(call('HRANDFIELD', key_offers(fn), SUSPECTS) or {}) do
    call('RPUSH', key_control(worker), 'protocol ' .. string.match(wish.protocol, '%d+'))
    call('PEXPIRE', key_control(worker), CONTROL_MS)
  end
end

-- The worker that waits with a free slot for the next job of this lane, and that slot; nil where none does, where it may
-- not have this call, or where others are before it. It waits for one job.
local function idle_worker(lane, wish)
  local idle, disabled = unpack(call('HMGET', key_meta(lane), 'idle', 'disabled'))
  if not idle or disabled then return nil end
  if not is_plain(lane) and call('HGET', key_meta(function_of(lane)), 'disabled') then return nil end
  local worker, slot = string.match(idle, '^(%S+) (%S+)$')
  if call('ZCARD', key_queued(lane)) > 0 then return nil end
  local offer = call('HGET', key_offers(function_of(lane)), worker)
  if offer and met_by(offer, wish, lane) == 'ok' and not passes_over(offer)
    and fresh(call('HGET', key_heartbeats(), worker)) then return worker, slot end
end

-- A worker that offers this lane waits with this slot for its next lone job.
local function waits(lane, worker, slot)
  local offer = call('HGET', key_offers(function_of(lane)), worker)
  if offer and string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1 and not passes_over(offer) then
    call('HSET', key_meta(lane), 'idle', worker .. ' ' .. slot)
    keep_meta(lane)
  end
end

-- Whether another live worker than those named would take jobs of this lane now.
local function another_takes(lane, but)
  local offers = key_offers(function_of(lane))
  local some = call('HRANDFIELD', offers, SUSPECTS) or {}
  for _, worker in ipairs(some) do
    local offer = not but[worker] and call('HGET', offers, worker)
    if offer and met_by(offer, ANYBODY, lane) == 'ok' and not passes_over(offer)
      and fresh(call('HGET', key_heartbeats(), worker)) then return true end
  end
  return false
end

-- A worker that refused a job passes over its lane for a while. It hears so before the job is back in its queue: of the
-- lists that a pop waits for the first one written to is served.
local function tell_pass(lane, worker)
  local offers = key_offers(function_of(lane))
  local offer = call('HGET', offers, worker)
  if offer and passes_over(offer) then return end
  call('RPUSH', key_control(worker), 'pass ' .. lane)
  call('PEXPIRE', key_control(worker), CONTROL_MS)
  if offer then
    local until_then = string.gsub(offer, '"passes_until":%d+}$', '"passes_until":' .. text(now_ms + PASS_MS) .. '}')
    call('HSET', offers, worker, until_then)
  end
  local idle = call('HGET', key_meta(lane), 'idle')
  if idle and string.match(idle, '^%S+') == worker then call('HDEL', key_meta(lane), 'idle') end
end

-- How the code of a lane stands in Redis. Other protocols count as other code: their calls never meet.
local function code_of(protocol, digest) return '{"protocol":' .. protocol .. ',"digest":"' .. digest .. '"}' end

-- The lanes of a function, as a table of their codes, and the one that this code has.
local function lanes_of(fn, code)
  local known, mine = {}, nil
  local flat = call('HGETALL', key_lanes(fn))
  for i = 1, #flat, 2 do
    known[flat[i]] = flat[i + 1]
    if flat[i + 1] == code and flat[i] == code_lane(flat[i]) then mine = flat[i] end
  end
  return known, mine
end

-- Whether jobs wait or run on the lane of a code.
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

-- Whether anything hangs on the lane of a code: jobs, or a live worker that offers it.
local function in_use(assigned, known)
  return has_jobs(assigned, known)
    or ask_offers(assigned, ANYBODY, call('HGET', key_meta(assigned), 'witness')) == 'ok'
end

local function forget_lane(fn, assigned, known)
  for lane in pairs(known) do
    if code_lane(lane) == assigned then call('HDEL', key_lanes(fn), lane) end
  end
end

-- The code of those who offer the plain lane: for the case that Redis has lost what stands under `lanes`.
local function offered_code(fn)
  for _, worker in ipairs(call('HRANDFIELD', key_offers(fn), SUSPECTS) or {}) do
    local offer = call('HGET', key_offers(fn), worker)
    local lane, digest, protocol = string.match(offer, '^{"lane":"([^"]*)","digest":"(%x*)","protocol":(%d+)')
    if lane == fn and fresh(call('HGET', key_heartbeats(), worker)) then return code_of(protocol, digest) end
  end
end

-- A code leaves its lane, on which there is no job, for the plain one: so do all workers that offer it. Until they have
-- heard of it, what comes waits in the plain list.
local function move_offers(fn, from)
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

-- Gives a code its lane: the first one offered has the plain lane, which is given anew only when nothing hangs on it.
-- One code has one lane, and leaves it only for the plain one, when no job is on it.
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

-- All lanes that a worker with this code and these tags takes jobs from.
local function lanes_to_pop(fn, code, tags, out)
  for lane, its in pairs((lanes_of(fn, code))) do
    local fits = its == code
    for tag in string.gmatch(string.match(lane, '%+[^~!]*') or '', '[^+]+') do
      fits = fits and string.find(tags, '"' .. tag .. '"', 1, true)
    end
    if fits then out[#out + 1] = lane end
  end
end

-- A lane with tags or a priority is used for the first time: the workers of its code are to look for their lanes.
local function open_lane(lane)
  local fn = function_of(lane)
  if call('HEXISTS', key_lanes(fn), lane) == 1 then return end
  for _, worker in ipairs(call('HRANDFIELD', key_offers(fn), SUSPECTS) or {}) do
    local offer = call('HGET', key_offers(fn), worker)
    if string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1 then
      local digest, protocol = string.match(offer, '"digest":"(%x*)","protocol":(%d+)')
      call('HSET', key_lanes(fn), lane, code_of(protocol, digest))
      call('RPUSH', key_control(worker), 'look')
      call('PEXPIRE', key_control(worker), CONTROL_MS)
    end
  end
end
