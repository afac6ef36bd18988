-- Seven letters that no other user has: what `run` imports.
function name(user)
  local letters = {}
  for place = 1, 7 do
    letters[place] = string.char(97 + user % 26)
    user = math.floor(user / 26)
  end
  return table.concat(letters)
end

-- Requests are made before the load begins, so that making them costs nothing while it is measured.
function prepare(make)
  math.randomseed(os.time())
  local requests = {}
  for index = 1, 100000 do
    requests[index] = make(name(math.random(0, 99999)))
  end
  return function()
    return requests[math.random(#requests)]
  end
end
