--- The routes' part of a compiled policy: the rule that matches, and whom of its team the lead draws.
local chunk = require "chunk"
local freeze = require "frozen"
local numbers = require "numbers"
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

function compile_route.emit(e)
  local blocks = {}
  for i, entry in ipairs(tree.entries) do
    for _, rule in ipairs(entry.rules) do
      local guard = rule.when and " and " .. condition(e, rule.when) or ""
      blocks[#blocks + 1] = ("  if %s == %d and %s < 0 and %s == 0%s then\n    %s = %d\n%s\n  end"):format(
        output(e, "entered"),
        i,
        output(e, "route"),
        input(e, "manual"),
        guard,
        output(e, "route"),
        e.plan.route_number[rule.name],
        pick_member(e, rule)
      )
    end
  end
  chunk.section(e, "routes", blocks)
end

return freeze("compile_route", compile_route)
