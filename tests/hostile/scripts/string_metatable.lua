-- The methods of texts are the library's: nobody gets at their table, to change it or to call through it.
-- ends: no modification allowed|attempt to
return function(view)
  local text = 'abc'
  local ok = pcall(function() text.len = function() return 99 end end)
  if ok or ('abc'):len() ~= 3 then error('escaped', 0) end
  string.upper = nil
end
