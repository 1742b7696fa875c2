-- The view is read-only.
-- build: -
-- call: a view is read-only
return function(view) view.visits = 1 end
