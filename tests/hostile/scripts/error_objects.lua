-- What is raised comes back as it was, and nothing of ours with it: no function, no table, no state.
-- ends: contained
return function(view)
  local calls = {
    function() return nil + 1 end, function() return ('x'):rep(1e9) end, function() require(nil) end,
    function() table.sort({ 3, 1, 2 }, function() return true end) end, function() return view.nothing end,
    function() string.format('%d', 'x') end, function() unpack(nil) end, function() error() end,
  }
  for _, call in ipairs(calls) do
    local ok, raised = pcall(call)
    local kind = type(raised)
    if not ok and kind ~= 'string' and kind ~= 'nil' then error('a ' .. kind, 0) end
    if kind == 'string' and raised:find('0x%x%x%x%x') then error('an address: ' .. raised, 0) end
  end
  error 'contained'
end
