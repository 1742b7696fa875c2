-- Other results on other machines.
-- ends: the operator ^
return function() return 2 ^ 0.5 end
