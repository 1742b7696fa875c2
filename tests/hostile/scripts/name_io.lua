-- Files.
-- ends: unknown name io
return function(view)
  return io
end
