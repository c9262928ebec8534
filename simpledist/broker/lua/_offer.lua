-- What workers offer, and `live`: Redis' answer to the question whether a call may travel. An offer is text that only
-- `beat` and `fail` write. Patterns read it, because decoding JSON costs more than most verbs:
--   {"lane":"fib","digest":"","protocol":2,"keys":["1f2e3d4c"],"python":"3.11","tags":[],"place":"fns.fib",
--    "since":1700000000000,"leaves_at":0,"passes_until":0}
-- `place`: the module (its last name) and the qualified name by which two codes are those of the same function.
-- `leaves_at`: the offer ends then (0: never). `passes_until`: its worker passes over the lane until then, because it
-- refused a job of it.

-- Returns up to n random fields. If the hash is missing, Redis answers with an empty table, fakeredis with nil.
local function some_of(hash, n) return call('HRANDFIELD', hash, n) or {} end

-- Reads what a call asks of a worker (records.Wish), as the parts of an offer that it must find there. Without `digest`
-- the call goes by name; `-` asks for an offer without one.
local function read_wish(json)
  local protocol, key, python, digest, place =
    string.match(json, '^{"protocol":(%d+),"key":"(%x*)","python":"([%d.]*)","digest":"([%x-]*)","place":"([^"]*)"}$')
  return {
    asked = json,
    speaks = protocol,
    protocol = '"protocol":' .. protocol .. ',',
    key = '"' .. key .. '"',
    python = python ~= '' and '"python":"' .. python .. '"',
    digest = digest ~= '' and '"digest":"' .. (digest == '-' and '' or digest) .. '"',
    place = place ~= '' and '"place":"' .. place .. '"',
  }
end

-- Every worker that offers a lane meets this wish.
local ANYBODY = { asked = 'anybody', protocol = '', key = '' }

local function passes_over(offer) return tonumber(string.match(offer, '(%d+)}$', -15) or 0) > now_ms end

local function has_left(offer)
  local leaves_at = string.match(offer, '"leaves_at":(%d+)')
  return leaves_at ~= '0' and tonumber(leaves_at or 0) <= now_ms
end

-- Returns what an offer of other code is for this wish: 'other_code', with which it is not served, or 'named': another
-- function under the name, whose lane, digest and place follow ('-': none).
local function unlike(offer, wish, lane)
  local its, digest = string.match(offer, '^{"lane":"([^"]*)","digest":"(%x*)"')
  local place = string.match(offer, '"place":"([^"]*)"') or ''
  local same_function = digest ~= '' and wish.place == '"place":"' .. place .. '"'
  if not wish.place or same_function then return 'other_code' end
  local or_none = function(text) return text ~= '' and text or '-' end
  return 'named', on_code_lane(lane, its) .. ' ' .. or_none(digest) .. ' ' .. or_none(place)
end

-- Returns 'ok' if an offer meets the wish of a call on this lane; else what parts them, and a word about it for people.
-- Whether the offer still counts is another question (has_left).
local function met_by(offer, wish, lane)
  if not string.find(offer, wish.protocol, 1, true) then
    return 'protocol', string.match(offer, '"protocol":(%d+)') or '1'
  end
  if wish.python and not string.find(offer, wish.python, 1, true) then return 'no_worker' end
  if string.find(lane, '+', 1, true) and not has_tags(lane, string.match(offer, '"tags":(%b[])')) then
    return 'no_worker'
  end
  if not string.find(offer, wish.key, 1, true) then
    local ids = string.gsub(string.match(offer, '"keys":%["([^%]]*)"%]') or '', '[",]+', ' ')
    return 'key', ids
  end
  if wish.digest and not string.find(offer, wish.digest, 1, true) then return unlike(offer, wish, lane) end
  if string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1 then return 'ok' end
  return 'moved', string.match(offer, '^{"lane":"([^"]*)"') or ''
end

-- Returns whether a worker's offer has this call now: it meets the wish, counts, and its worker is alive.
local function takes(worker, offer, wish, lane)
  return offer and met_by(offer, wish, lane) == 'ok' and not has_left(offer) and beats(worker)
end

local NEARER = { no_worker = 0, protocol = 1, key = 2, named = 3, other_code = 4, moved = 5 }

-- Asks the workers of these offers (worker, offer, worker, ...). Returns one that takes the call, if there is any; `no`
-- is what parts the others from 'ok': of several answers the nearest, with up to three different words for people.
local function ask_some(flat, lane, wish, no)
  local kinds = {}
  for first = 1, #flat, 200 do
    local workers = {}
    for i = first, math.min(first + 199, #flat), 2 do
      workers[#workers + 1] = flat[i]
    end
    for i, beat in ipairs(call('HMGET', key_heartbeats(), unpack(workers))) do
      local offer = flat[first + 2 * i - 1]
      if fresh(workers[i], beat) and not has_left(offer) then
        -- Most workers offer the same, but for their times, which are at the end.
        local kind = string.sub(offer, 1, (string.find(offer, ',"since"', 1, true)))
        kinds[kind] = kinds[kind] or { met_by(offer, wish, lane) }
        local answer, word = kinds[kind][1], kinds[kind][2] or workers[i]
        if answer == 'ok' then return workers[i] end
        if NEARER[answer] > NEARER[no.answer] then
          no.answer, no.words = answer, {}
        end
        local wanted = answer == no.answer and answer ~= 'no_worker' and #no.words < 3
        if wanted and answer == 'named' then
          -- Of several other functions that of the plain lane serves.
          local other = no.words[1] and (string.find(word, '^%S*~') or not string.find(no.words[1], '^%S*~'))
          if not other then no.words[1] = word .. ' ' .. workers[i] end
        elseif wanted and not string.find(table.concat(no.words, ' '), word, 1, true) then
          no.words[#no.words + 1] = word
        end
      end
    end
  end
end

-- Returns a refusal as `live` answers it.
local function no_text(lane, no)
  if no.answer == 'moved' then return 'moved ' .. on_code_lane(lane, no.words[1]) end
  if no.answer == 'named' then return 'named ' .. no.words[1] end
  local answer = no.answer == 'protocol' and 'no_worker protocol' or no.answer
  return #no.words > 0 and answer .. ' ' .. table.concat(no.words, ' ') or answer
end

-- Asks every live worker that offers the function. To ask 10,000 takes many milliseconds, in which Redis serves no one:
-- if there are more than OFFERS_ASKED, some of them are asked first, and where no one fits, the answer to this wish
-- (`unmet` in the meta) holds for UNMET_MS.
local function ask_all(lane, wish) -- rare
  local offers = key_offers(function_of(lane))
  local many, found, no = call('HLEN', offers) > OFFERS_ASKED, nil, { answer = 'no_worker', words = {} }
  if many then
    local since_ms, asked, answer = string.match(call('HGET', key_meta(lane), 'unmet') or '', '^(%d+) (%S+) (.+)$')
    if asked == wish.asked and since(since_ms) < UNMET_MS then return answer end
    found =
      ask_some(call('HRANDFIELD', offers, SUSPECTS, 'WITHVALUES'), lane, wish, { answer = 'no_worker', words = {} })
  end
  found = found or ask_some(call('HGETALL', offers), lane, wish, no)
  if found then
    call('HSET', key_meta(lane), 'witness', found)
  elseif many then
    call('HSET', key_meta(lane), 'unmet', now .. ' ' .. wish.asked .. ' ' .. no_text(lane, no))
  end
  if found or many then keep_meta(lane) end
  return found and 'ok' or no_text(lane, no)
end

-- Asks the live workers that offer the function; the witness first, which was found last time.
local function ask_offers(lane, wish, witness)
  local offer = witness and call('HGET', key_offers(function_of(lane)), witness)
  if takes(witness, offer, wish, lane) then return 'ok' end
  return ask_all(lane, wish)
end

-- Returns whether a call may travel on this lane: 'ok' | 'moved <lane>' (a worker with its code is there)
-- | 'named <lane> <digest> <place> <worker>' (only another function under the name is there) | 'no_worker'
-- | 'no_worker protocol <numbers>' | 'other_code <workers>' | 'key <key ids of the workers>' | 'disabled'.
local function live(lane, wish)
  local witness, disabled = unpack(call('HMGET', key_meta(lane), 'witness', 'disabled'))
  if not is_plain(lane) then disabled = call('HGET', key_meta(function_of(lane)), 'disabled') end
  if disabled then return 'disabled' end
  return ask_offers(lane, wish, witness)
end

-- Tells workers, once a minute, that calls run at their callers because these workers speak another protocol, or have
-- other code of this very function.
local function tell_why_not(lane, wish, answer) -- rare
  local fn, protocol = function_of(lane), string.find(answer, 'no_worker protocol', 1, true)
  if not protocol and not string.find(answer, 'other_code', 1, true) then return end
  local field = protocol and 'protocol_sent_at' or 'other_code_sent_at'
  local sent_at = call('HGET', key_meta(fn), field)
  if sent_at and now_ms - (tonumber(sent_at) or 0) < tonumber(CONTROL_MS) then return end
  call('HSET', key_meta(fn), field, now)
  for _, worker in ipairs(some_of(key_offers(fn), SUSPECTS)) do
    if protocol or met_by(call('HGET', key_offers(fn), worker), wish, lane) == 'other_code' then
      call('RPUSH', key_control(worker), protocol and 'protocol ' .. wish.speaks or 'other_code ' .. fn)
      call('PEXPIRE', key_control(worker), CONTROL_MS)
    end
  end
end

-- Returns the worker that `idle` names ("worker slot") and its slot, if it may have this call and no other is before
-- it.
local function idle_worker(idle, lane, wish)
  if not idle or idle == '' or call('ZCARD', key_queued(lane)) > 0 then return nil end
  local worker, slot = string.match(idle, '^(%S+) (%S+)$')
  local offer = call('HGET', key_offers(function_of(lane)), worker)
  if takes(worker, offer, wish, lane) and not passes_over(offer) then return worker, slot end
end

-- Returns the worker that waits idle for a lone job of this lane, and its slot. It waits for one job, and then no more.
local function take_idle_worker(lane, wish)
  local idle, disabled = unpack(call('HMGET', key_meta(lane), 'idle', 'disabled'))
  if not is_plain(lane) then disabled = call('HGET', key_meta(function_of(lane)), 'disabled') end
  if not idle or idle == '' then return nil end
  call('HSET', key_meta(lane), 'idle', '')
  if not disabled then return idle_worker(idle, lane, wish) end
end

-- Has a worker that offers this lane wait with a slot for its next lone job.
local function become_idle(lane, worker, slot)
  local offer = call('HGET', key_offers(function_of(lane)), worker)
  if offer and string.find(offer, '{"lane":"' .. code_lane(lane) .. '"', 1, true) == 1 and not passes_over(offer) then
    call('HSET', key_meta(lane), 'idle', worker .. ' ' .. slot)
    keep_meta(lane)
  end
end

-- Returns whether another live worker than those named would take jobs of this lane now.
local function another_takes(lane, but) -- rare
  local offers = key_offers(function_of(lane))
  for _, worker in ipairs(some_of(offers, SUSPECTS)) do
    local offer = not but[worker] and call('HGET', offers, worker)
    if offer and takes(worker, offer, ANYBODY, lane) and not passes_over(offer) then return true end
  end
  return false
end

-- Tells a worker that refused a job to pass over its lane for a while. It hears so before the job is back in its queue:
-- of the lists that a pop waits for, the one that was written to first is served.
local function tell_pass(lane, worker) -- rare
  local offers = key_offers(function_of(lane))
  local offer = call('HGET', offers, worker)
  if offer and passes_over(offer) then return end
  call('RPUSH', key_control(worker), 'pass ' .. lane)
  call('PEXPIRE', key_control(worker), CONTROL_MS)
  if offer then
    local passing = string.gsub(offer, '"passes_until":%d+}$', '"passes_until":' .. text(now_ms + PASS_MS) .. '}')
    call('HSET', offers, worker, passing)
  end
  local idle = call('HGET', key_meta(lane), 'idle')
  if idle and string.match(idle, '^%S*') == worker then call('HSET', key_meta(lane), 'idle', '') end
end
