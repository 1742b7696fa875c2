-- An error without anything.
-- ends: value is a nil
return function(view)
  error()
end
