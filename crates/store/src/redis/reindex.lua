-- Brings what lists a user in line with the user's own record, which is the truth.
-- KEYS: the user's hash, the bucket's names, the bucket's days. ARGV: the name, and a member of the days or ''.
local user, names, days = KEYS[1], KEYS[2], KEYS[3]
local name, listed = ARGV[1], ARGV[2]
local kept = redis.call('HMGET', user, 'b', 'e')
local birthday, email = kept[1], kept[2]
local changed = 0

local member = ''
if birthday then
    member = string.sub(birthday, -5, -4) .. string.sub(birthday, -2) .. ':' .. name
    changed = changed + redis.call('ZADD', days, 0, member)
end
if listed ~= '' and listed ~= member then
    changed = changed + redis.call('ZREM', days, listed)
end
if birthday or email then
    changed = changed + redis.call('ZADD', names, 0, name)
else
    changed = changed + redis.call('ZREM', names, name)
end
return changed
