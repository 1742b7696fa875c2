-- Brings cdata in by a number.
-- ends: numbers with LL
return function() return 1LL end
