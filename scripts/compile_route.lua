--- The routes' part of a compiled policy: the rule that matches, and whom of its team the lead draws.
local chunk = require "chunk"
local compile_sales = require "compile_sales"
local freeze = require "frozen"
local numbers = require "numbers"
local tracing = require "tracing"
local tree = require "tree"

local compile_route = {}

local input, output, condition, literal = chunk.input, chunk.output, chunk.condition, numbers.literal

local function pick_member(e, rule)
  local team = tree.teams[rule.team]
  local members = {}
  for _, member in ipairs(team.members) do
    if member.weight > 0 then members[#members + 1] = member end
  end
  local lines, sum = { ("    local draw = %s"):format(input(e, "draws", rule.draw)) }, 0
  for i = 1, #members - 1 do
    sum = sum + members[i].weight
    lines[#lines + 1] = ("    %sif draw < %s then %s = %d"):format(
      i == 1 and "" or "else",
      literal(sum / team.total),
      output(e, "owner"),
      members[i].owner
    )
  end
  local last = ("%s = %d"):format(output(e, "owner"), members[#members].owner)
  lines[#lines + 1] = #members == 1 and "    " .. last or "    else " .. last .. " end"
  if #members == 1 then table.remove(lines, 1) end
  return table.concat(lines, "\n")
end

-- Among those who did not give the lead back lately; nobody is left: the next rule is tried.
local function pick_other(e, rule)
  local sums, picks = {}, {}
  for _, member in ipairs(tree.teams[rule.team].members) do
    if member.weight > 0 then
      local may, weight = compile_sales.may_own(e, member.owner), literal(member.weight)
      sums[#sums + 1] = ("      if %s then sum = sum + %s end"):format(may, weight)
      picks[#picks + 1] = ("      if at >= 0 and %s then\n        %s = %d\n        at = at - %s\n      end"):format(
        may,
        output(e, "owner"),
        member.owner,
        weight
      )
    end
  end
  return ("      local sum = 0\n%s\n      if sum > 0 then\n      local at = %s * sum\n%s\n        %s = %d\n      end"):format(
    table.concat(sums, "\n"),
    input(e, "draws", rule.draw),
    table.concat(picks, "\n"),
    output(e, "route"),
    e.plan.route_number[rule.name]
  )
end

function compile_route.emit(e)
  local blocks = {}
  for i, entry in ipairs(tree.entries) do
    for _, rule in ipairs(entry.rules) do
      local when = tracing.tried(e, rule, rule.when and condition(e, rule.when) or "true")
      local guard = when == "true" and "" or " and " .. when
      blocks[#blocks + 1] = ("  if %s == %d and %s < 0 and %s == 0%s then\n    if %s then\n%s\n    else\n    %s = %d\n%s\n    end\n  end"):format(
        output(e, "entered"),
        i,
        output(e, "route"),
        input(e, "manual"),
        guard,
        compile_sales.is_barred(e),
        pick_other(e, rule),
        output(e, "route"),
        e.plan.route_number[rule.name],
        pick_member(e, rule)
      ) .. tracing.done(e, rule)
    end
  end
  chunk.section(e, "routes", blocks)
end

return freeze("compile_route", compile_route)
