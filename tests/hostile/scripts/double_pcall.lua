-- Runs at the edge of memory.
-- ends: stopped after
return function(view)
  local text = 'x'
  while true do
    local ok, more = pcall(function() return text .. text end)
    if ok then text = more end
  end
end
