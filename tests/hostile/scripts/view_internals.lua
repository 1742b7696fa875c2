-- What the view is made of.
-- build: -
-- call: does not read __index
return function(view) return view.__index end
