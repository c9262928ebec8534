-- The arguments of a verb, read one after the other.

local cursor = 0
local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function number() return tonumber(arg()) end

-- Returns the parts of a job's label: its id alone, or with what its caller asked for
-- ("id address join(0|1) cache_ms kept(0|1)"; cache_ms 0: the value is not kept).
local function split_label(label)
  if not string.find(label, ' ', 1, true) then return label end
  local id, address, join, cache_ms, kept = string.match(label, '^(%S+) (%S+) (%d) (%d+) (%d)$')
  return id, address, join == '1', tonumber(cache_ms), kept == '1'
end

-- Returns what the options of a function ask for ("name=value name=value"), by name.
local function read_terms(text)
  local terms = {}
  for name, value in string.gmatch(text, '(%S+)=(%S+)') do
    terms[name] = value
  end
  return terms
end
