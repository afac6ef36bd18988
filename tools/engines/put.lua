-- Birthdays of 100,000 users, in no order, nearly always another date than before.
require("names")

wrk.headers["Content-Type"] = "application/json"

function init()
  request = prepare(function(name)
    local year, month, day = math.random(1900, 2019), math.random(1, 12), math.random(1, 28)
    local body = string.format('{"dateOfBirth":"%04d-%02d-%02d"}', year, month, day)
    return wrk.format("PUT", "/hello/" .. name, nil, body)
  end)
end
