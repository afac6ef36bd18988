-- Notes that the schema has at least that version, and says which one it had: 0 if none.
-- KEYS: the schema's hash. ARGV: the version, and since which one programs can work with it.
local found = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if found < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'version', ARGV[1], 'works_since', ARGV[2])
end
return found
