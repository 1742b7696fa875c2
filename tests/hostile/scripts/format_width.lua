-- A width that overflows a buffer elsewhere.
-- ends: invalid|format
return function(view)
  return string.format('%9999d', 1)
end
