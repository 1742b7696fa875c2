-- Goes on with what it caught.
-- ends: stopped after
return function(view)
  while true do
    local ok, raised = pcall(function() while true do end end)
    if not ok then raised = tostring(raised) .. 'x' end
  end
end
