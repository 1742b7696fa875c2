-- The slowest numbers to print.
-- ends: stopped after
return function(view)
  while true do string.format('%99.99f%99s', 1e300, 'a') end
end
