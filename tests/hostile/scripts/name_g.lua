-- The table of globals.
-- ends: unknown name _G
return function(view)
  return _G
end
