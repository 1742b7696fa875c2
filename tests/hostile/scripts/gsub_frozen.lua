-- Reads functions out of a frozen table.
-- ends: a replacement is a
return function(view)
  return (('floor'):gsub('%a+', math))
end
