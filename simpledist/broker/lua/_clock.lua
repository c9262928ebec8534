-- The time of Redis, by which everything is judged: no other process's clock counts. `now_us` comes from scripts.py.

-- Lua itself prints 14 digits; a stamp has 16.
local function text(n) return string.format('%.0f', n) end

-- Now, in microseconds and in milliseconds, as numbers and as text.
local now_us_text = text(now_us)
local now = string.sub(now_us_text, 1, -4)
local now_ms = math.floor(now_us / 1000)
local minute = math.floor(now_ms / 60000)

-- Returns how long ago that was. If the clock was set back, that is for ever: nothing waits until the time comes again.
local function since(then_ms)
  local age = now_ms - (tonumber(then_ms or 0) or 0)
  return age < 0 and math.huge or age
end
