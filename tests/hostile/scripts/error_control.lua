-- Control characters for the operator's terminal.
-- ends: one line
return function(view)
  error('\27[2J\n one line', 0)
end
