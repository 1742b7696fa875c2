--- What sales said, in a compiled policy: which events say it, and what rules may still decide (core/policy/sales.c does
--- the rest).
local chunk = require "chunk"
local freeze = require "frozen"
local tree = require "tree"

local compile_sales = {}

local input, output = chunk.input, chunk.output

--- Routes choose in the stage in which the lead stays: sales moved it there, or took its owner away.
function compile_sales.emit(e)
  local entered = {}
  for i, entry in ipairs(tree.entries) do
    entered[i] = ("  if %s then %s = %d end"):format(
      e.plan.at_stage(e, entry.name),
      output(e, "entered"),
      i
    )
  end
  e.lines[#e.lines + 1] = ("local function arrived()\n%s\nend"):format(table.concat(entered, "\n"))
end

--- The call of the journey, as sales lets it be made.
function compile_sales.journey(e)
  local said, steps = input(e, "sales"), ("O[%d]"):format(e.plan.output.steps)
  return ("if %s ~= 2 then journey() end\n  if %s ~= 0 and %s == 0 then arrived() end"):format(said, said, steps)
end

--- True while the lead is disqualified.
function compile_sales.is_out(e) return ("%s == 3"):format(input(e, "sales")) end

--- Whether somebody gave this lead back lately; and that it was not this owner.
function compile_sales.is_barred(e) return ("%s >= 0"):format(input(e, "barred")) end
function compile_sales.may_own(e, owner)
  local tests = {}
  for i = 0, chunk.REJECTS - 1 do
    tests[#tests + 1] = ("%s ~= %d"):format(input(e, "barred", i), owner)
  end
  return table.concat(tests, " and ")
end

return freeze("compile_sales", compile_sales)
