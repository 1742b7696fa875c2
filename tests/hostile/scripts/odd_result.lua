-- A result that is no number.
-- build: -
-- call: cannot convert
return function() return {} end
