-- A pattern that ends too early.
-- ends: malformed pattern
return function(view)
  return ('a'):find('[a')
end
