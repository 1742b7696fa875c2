-- Replaces what the library calls.
-- ends: assignment to the global tostring
tostring = function() return 'mine' end
return function() return tostring(1) end
