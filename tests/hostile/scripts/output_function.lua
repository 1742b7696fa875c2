-- Code is no data.
-- build: result[1].f: a function is no data
-- call: -
return function() return { { f = tostring } } end
