-- Greetings of 100,000 users, in no order.
require("names")

function init()
  request = prepare(function(name)
    return wrk.format("GET", "/hello/" .. name)
  end)
end
