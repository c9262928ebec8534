-- Writes of a batch that go to the same key (held, current, reply lists, offers) are gathered, and sent as one command
-- a key by `flush`. A verb calls it before it reads such a key, and at its end.

local gathered, in_order, lives_on = { HSET = {}, HDEL = {}, RPUSH = {}, SADD = {} }, {}, {}

local function gather(command, key, field, value)
  local list = gathered[command][key]
  if not list then
    list = { command, key }
    gathered[command][key] = list
    in_order[#in_order + 1] = list
  end
  local n = #list
  list[n + 1], list[n + 2] = field, value
end

local function flush()
  for _, list in ipairs(in_order) do
    for from = 3, #list, 1000 do
      call(list[1], list[2], unpack(list, from, math.min(from + 999, #list)))
    end
  end
  flush_tallies()
  for key, ms in pairs(lives_on) do
    call('PEXPIRE', key, ms)
  end
  gathered, in_order, lives_on = { HSET = {}, HDEL = {}, RPUSH = {}, SADD = {} }, {}, {}
end
