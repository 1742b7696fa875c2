-- What it did not say that it reads.
-- build: -
-- call: does not read secret
return function(view) return view.secret end
