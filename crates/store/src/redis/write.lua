-- Makes one change to one user, all or nothing, and says how it ended: D(one), U(nchanged), C(onflict), A(bsent).
-- KEYS: the user's hash, the bucket's names, the bucket's days.
-- ARGV: what to do, the name, the birthday or the address; to put a record, both, '' for what it lacks.
-- Where memory is short, Redis refuses the first write of a script and none after it: what needs memory comes first.
local user, names, days = KEYS[1], KEYS[2], KEYS[3]
local what, name, value = ARGV[1], ARGV[2], ARGV[3]
local kept = redis.call('HMGET', user, 'b', 'e')
local birthday, email = kept[1], kept[2]

local function day(text)
    return string.sub(text, -5, -4) .. string.sub(text, -2) .. ':' .. name
end

if what == 'save' then
    if birthday == value then return 'U' end
    redis.call('HSET', user, 'b', value)
    redis.call('ZADD', names, 0, name)
    redis.call('ZADD', days, 0, day(value))
    if birthday and day(birthday) ~= day(value) then redis.call('ZREM', days, day(birthday)) end
    return 'D'
end
if what == 'register' then
    if email then return email == value and 'U' or 'C' end
    redis.call('HSET', user, 'e', value)
    redis.call('ZADD', names, 0, name)
    return 'D'
end
if what == 'put' then
    local address = ARGV[4]
    local saves, registers = value ~= '' and value ~= birthday, address ~= '' and address ~= email
    if not saves and not registers then return 'U' end
    if registers then redis.call('HSET', user, 'e', address) end
    if saves then redis.call('HSET', user, 'b', value) end
    redis.call('ZADD', names, 0, name)
    if saves then redis.call('ZADD', days, 0, day(value)) end
    if saves and birthday and day(birthday) ~= day(value) then redis.call('ZREM', days, day(birthday)) end
    return 'D'
end
if not birthday and not email then return 'A' end
if what == 'email' then
    if email == value then return 'U' end
    redis.call('HSET', user, 'e', value)
    return 'D'
end
if what == 'erase' then
    redis.call('DEL', user)
    redis.call('ZREM', names, name)
    if birthday then redis.call('ZREM', days, day(birthday)) end
    return 'D'
end
return redis.error_reply('ERR unknown change')
