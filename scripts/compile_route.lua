--- The routes' part of a compiled policy: the rule that matches, and whom of its team the lead draws.
local chunk = require "chunk"
local compile_sales = require "compile_sales"
local freeze = require "frozen"
local numbers = require "numbers"
local people = require "people"
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

-- A rule that asks a pool leaves the owner as it is: the engine asks (core/engine/seat.h).
function compile_route.emit(e)
  local blocks = {}
  for i, entry in ipairs(tree.entries) do
    for _, rule in ipairs(entry.rules) do
      local when = tracing.tried(e, rule, rule.when and condition(e, rule.when) or "true")
      local guard = when == "true" and "" or " and " .. when
      local matches = ("  if %s == %d and %s < 0 and %s == 0%s then"):format(
        output(e, "entered"),
        i,
        output(e, "route"),
        input(e, "manual"),
        guard
      )
      local chosen = ("%s = %d"):format(output(e, "route"), e.plan.route_number[rule.name])
      if rule.turn then
        blocks[#blocks + 1] = ("%s\n    %s\n  end"):format(matches, chosen) .. tracing.done(e, rule)
      else
        blocks[#blocks + 1] = ("%s\n    if %s then\n%s\n    else\n    %s\n%s\n    end\n  end"):format(
          matches,
          compile_sales.is_barred(e),
          pick_other(e, rule),
          chosen,
          pick_member(e, rule)
        ) .. tracing.done(e, rule)
      end
    end
  end
  chunk.section(e, "routes", blocks)
end

-- ---- what the engine asks pools ----

--- The draws of rules by weight.
function compile_route.number_draws(plan, draw)
  for _, rule in ipairs(tree.routes) do
    if not rule.turn then rule.draw = draw(plan, { salt = "team " .. rule.team, by = "lead" }) end
  end
end

--- Teams whose pools are asked, and their numbers.
local function teams()
  local rows, number = {}, {}
  for _, rule in ipairs(tree.routes) do
    if rule.turn and not number[rule.team] then
      number[rule.team], rows[#rows + 1] = #rows, people.row(tree.teams[rule.team])
    end
  end
  return rows, number
end

local function turn_of(plan, entry, rule, number)
  local last, accept = entry.rules[#entry.rules], entry.accept
  local goes_on = rule.full == "otherwise" and last.is_otherwise and last.turn and last ~= rule
  local turn = {
    team = number[rule.team],
    pick = rule.turn,
    sticky = rule.sticky,
    skill = rule.skill,
    full = goes_on and plan.route_number[last.name] or -1,
  }
  if accept then
    turn.accept_ms, turn.accept_tries = accept.ms, accept.tries
    turn.accept_otherwise = accept.otherwise and plan.route_number[accept.otherwise] or -1
  end
  return turn
end

--- Puts teams and turns into the artifact, whose routes are tree.routes in their order.
function compile_route.put(plan, made)
  local rows, number = teams()
  if #rows > 0 then made.teams = rows end
  for _, entry in ipairs(tree.entries) do
    for _, rule in ipairs(entry.rules) do
      if rule.turn then made.routes[plan.route_number[rule.name] + 1].turn = turn_of(plan, entry, rule, number) end
    end
  end
  for _, stage in ipairs(tree.stages) do
    if stage.frees_owner then made.stages[plan.stage_number[stage.name] + 1].frees_owner = true end
  end
end

return freeze("compile_route", compile_route)
