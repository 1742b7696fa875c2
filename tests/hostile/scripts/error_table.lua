-- An error that is no text.
-- ends: value is a table
return function(view)
  error({ code = 1, tostring })
end
