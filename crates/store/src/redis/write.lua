-- Makes one change to one user, all or nothing, and says how it ended: D(one), U(nchanged), C(onflict), A(bsent).
-- KEYS: the user's hash, the bucket's names, the bucket's days.
-- ARGV: what to do, the name, whether replicas are waited for ('1' or '0'), the birthday or the address; to put a
-- record, both, '' for what it lacks.
-- Where memory is short, Redis refuses the first write of a script and none after it: what needs memory comes first.
local user, names, days = KEYS[1], KEYS[2], KEYS[3]
local what, name, waits, value = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local kept = redis.call('HMGET', user, 'b', 'e')
local birthday, email = kept[1], kept[2]

-- A replica refuses the first write, and so tells what it is: who changes nothing writes something that changes nothing.
local function nothing(answer)
    redis.call('ZREM', names, '')
    return answer
end

-- What is so already may not be so at the replicas yet. Since Redis 7.2 a connection waits only for what it wrote itself,
-- and only for what replicas are sent.
local function unchanged(field, same)
    if not waits then return nothing('U') end
    redis.call('HSET', user, field, same)
    return 'U'
end

local function day(text)
    return string.sub(text, -5, -4) .. string.sub(text, -2) .. ':' .. name
end

if what == 'save' then
    if birthday == value then return unchanged('b', value) end
    redis.call('HSET', user, 'b', value)
    redis.call('ZADD', names, 0, name)
    redis.call('ZADD', days, 0, day(value))
    if birthday and day(birthday) ~= day(value) then redis.call('ZREM', days, day(birthday)) end
    return 'D'
end
if what == 'register' then
    if email == value then return unchanged('e', value) end
    if email then return nothing('C') end
    redis.call('HSET', user, 'e', value)
    redis.call('ZADD', names, 0, name)
    return 'D'
end
if what == 'put' then
    local address = ARGV[5]
    local saves, registers = value ~= '' and value ~= birthday, address ~= '' and address ~= email
    if not saves and not registers then
        return unchanged(value ~= '' and 'b' or 'e', value ~= '' and value or address)
    end
    if registers then redis.call('HSET', user, 'e', address) end
    if saves then redis.call('HSET', user, 'b', value) end
    redis.call('ZADD', names, 0, name)
    if saves then redis.call('ZADD', days, 0, day(value)) end
    if saves and birthday and day(birthday) ~= day(value) then redis.call('ZREM', days, day(birthday)) end
    return 'D'
end
if not birthday and not email then
    if not waits or what ~= 'erase' then return nothing('A') end
    -- Erasing needs no memory, so it goes on where there is none: see above.
    redis.call('DEL', user)
    redis.call('ZADD', names, 0, name)
    redis.call('ZREM', names, name)
    return 'A'
end
if what == 'email' then
    if email == value then return unchanged('e', value) end
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
