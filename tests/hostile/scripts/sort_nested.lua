-- The C stack, by comparisons.
-- ends: nested too deeply
-- call: nested too deeply|stopped after
return function(view)
  local function again()
    local t = { 3, 1, 2 }
    table.sort(t, function(a, b) again() return a < b end)
  end
  again()
end
