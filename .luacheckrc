-- What luacheck looks at is what Redis gets: `simpledist lua VERB | luacheck -`.
std = 'lua51'
read_globals = { 'redis', 'KEYS', 'ARGV' }
max_line_length = false -- keys are written out
-- A rare function holds what only it uses, so that its arguments are upvalues of functions whose arguments have the same
-- names. State that only rare functions use is made in any case.
ignore = { '43.', '231/gathered' }
