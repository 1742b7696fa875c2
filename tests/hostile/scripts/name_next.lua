-- An undefined order.
-- ends: unknown name next
return function(view)
  return next
end
