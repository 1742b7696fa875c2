--- Why a decision came out as it did, in a few lines: for what a spec expected in vain.
local numbers = require "numbers"
local outline = require "outline"

local explain = {}
local LINES_MAX = 12

function explain.show(x)
  if x == nil then return "not known" end
  if type(x) == "number" then return numbers.show(x) end
  return type(x) == "string" and "'" .. x .. "'" or tostring(x)
end

explain.load = outline.load

local function unknown(what, name, names)
  for _, known in ipairs(names) do
    if known == name then return nil end
  end
  local near = type(name) == "string" and host.suggest(name, names)
  return ("no %s '%s'%s"):format(what, tostring(name), near and ("; did you mean '" .. near .. "'?") or "")
end

--- "no rule 'x'; did you mean …", or nil when there is such a rule.
function explain.no_rule(name)
  local names = {}
  for _, rule in ipairs(outline.rules()) do
    names[#names + 1] = rule.title
    if rule.name ~= rule.title then names[#names + 1] = rule.name end
  end
  return unknown("rule", name, names)
end

function explain.no_feature(name) return unknown("feature", name, outline.tree.signals.names) end

local function no_stage(name)
  local names = {}
  for i, stage in ipairs(outline.tree.stages) do
    names[i] = stage.name
  end
  return unknown("stage", name, names)
end

local function no_action(name)
  local names = { outline.tree.otherwise and outline.tree.otherwise.name or "none" }
  for _, offer in ipairs(outline.tree.offers) do
    names[#names + 1] = offer.name
  end
  return unknown("action", name, names)
end

local function points(milli) return ("%+.1f"):format(milli / 1000) end

--- Whether a decision's ledger has a row of that name.
function explain.has_reason(decision, name)
  for _, reason in ipairs(decision.reasons or {}) do
    if reason.name == name and (reason.kind ~= "evidence" or reason.points ~= 0) then return true end
  end
  return false
end

local SCORES = { intent = true, fit = true, engagement = true, combined = true }

-- "pricing_views_7d is 2": what a condition looked at.
local function values_of(node, got)
  local list, seen = {}, {}
  outline.values(node, function(below)
    local text
    if below.kind == "feature" then
      local value = got.lead.features[below.name]
      local shown = below.is_duration and type(value) == "number" and numbers.show_duration(math.floor(value)) or explain.show(value)
      if value == true then shown = "known" end -- personal
      text = ("%s is %s"):format(below.name, shown)
    elseif SCORES[below.kind] and got[below.kind] then
      text = ("%s is %s"):format(below.label, numbers.show(got[below.kind]))
    end
    if text and not seen[text] then
      seen[text] = true
      list[#list + 1] = text
    end
  end)
  return table.concat(list, ", ")
end

local function add_missing(lines, rule, got)
  outline.missing(rule, got.fired, function(node, holds)
    local values = values_of(node, got)
    lines[#lines + 1] = ("  %s%s%s"):format(holds and "holds: " or "does not hold: ", node.label,
      values ~= "" and " (" .. values .. ")" or "")
  end)
end

local function add_rule(lines, rule, got)
  local holds = outline.holds(rule, got.fired)
  local said = holds and "its condition holds" or holds == false and "did not fire" or "was not tried"
  lines[#lines + 1] = ("%s '%s' %s (%s:%d)"):format(rule.kind, rule.title, said, rule.path, rule.line)
  if holds == false then add_missing(lines, rule, got) end
end

local function add_path(lines, got)
  if #got.transitions > 0 then lines[#lines + 1] = "went " .. table.concat(got.transitions, ", ") end
end

-- Transitions out of the stage that the lead is in, to the one that was expected or, when there is none, all.
local function add_stage(lines, wanted, got)
  lines[1] = type(wanted) == "string" and no_stage(wanted) or nil
  add_path(lines, got)
  local direct, others = {}, {}
  for _, rule in ipairs(outline.rules()) do
    if rule.kind == "transition" and rule.entry.from == got.stage then
      local list = rule.name == wanted and direct or others
      list[#list + 1] = rule
    end
  end
  for _, rule in ipairs(#direct > 0 and direct or others) do
    add_rule(lines, rule, got)
  end
  if got.eligible == false then lines[#lines + 1] = "not eligible, so that its stage rests: " .. got.ineligible end
end

local function add_named(lines, kind, name, got)
  for _, rule in ipairs(outline.rules()) do
    if (kind == nil or rule.kind == kind) and (rule.title == name or rule.name == name) then add_rule(lines, rule, got) end
  end
end

local function add_action(lines, wanted, got)
  if got.held ~= "none" then lines[#lines + 1] = "held back: " .. got.held end
  for _, row in ipairs(got.suppressed or {}) do
    lines[#lines + 1] = ("offer '%s' was worth more, but held back: %s"):format(row.action, row.why)
  end
  if got.eligible == false then lines[#lines + 1] = "not eligible: " .. got.ineligible end
  for _, name in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    lines[#lines + 1] = no_action(name)
    for _, rule in ipairs(outline.rules()) do
      if rule.kind == "offer" and rule.name == name and rule.entry.stages then
        local open = table.concat(rule.entry.stages, ", ")
        local is_open = (", " .. open .. ","):find(", " .. got.stage .. ",", 1, true)
        if is_open and (#rule.parts == 0 or outline.holds(rule, got.fired)) then
          local utility = rule.entry.utility
          lines[#lines + 1] = ("offer '%s' was open; it is worth %s"):format(name, utility.label)
            .. (utility.kind ~= "number" and ": " .. values_of(utility, got) or "")
        elseif is_open then
          add_rule(lines, rule, got)
        else
          lines[#lines + 1] = ("offer '%s' is open in %s; the lead is in %s"):format(name, open, got.stage)
        end
      end
    end
  end
end

local function add_owner(lines, got)
  add_path(lines, got)
  for _, reason in ipairs(got.decision.reasons or {}) do
    if reason.kind == "route" then lines[#lines + 1] = ("route '%s' chose"):format(reason.name) end
  end
end

local OF_SCORE = {
  intent = { evidence = true, channel = true },
  fit = { fit = true },
  engagement = { engagement = true },
}

local function add_ledger(lines, score, got)
  for _, reason in ipairs(got.decision.reasons or {}) do
    local is_wanted = not OF_SCORE[score] or OF_SCORE[score][reason.kind] or (score == "intent" and reason.kind:find "cap")
    if score == "combined" and reason.kind == "evidence" then is_wanted = false end
    if is_wanted and reason.points and reason.points ~= 0 then
      local value = reason.value
      local shown = type(value) == "number" and " is " .. numbers.show(value) or ""
      lines[#lines + 1] = ("%s %s %s%s"):format(points(reason.points), reason.kind, reason.name, shown)
    end
  end
end

--- Lines below a failure. `key`: the word of the expectation; `got`: the outcome, with decision, lead and fired.
function explain.lines(input, key, wanted, got)
  local lines = {}
  outline.load(input)
  local score = key:match "^m[ai][xn]_(%a+)$"
  if key == "stage" or key == "transitions" then
    add_stage(lines, wanted, got)
  elseif key == "action" or key == "action_in" then
    add_action(lines, wanted, got)
  elseif key == "owner" or key == "owner_in" then
    add_owner(lines, got)
  elseif key == "fired" or key == "not_fired" then
    add_named(lines, nil, wanted, got)
  elseif key == "eligible" or key == "ineligible" then
    lines[1] = got.eligible and "eligible" or "not eligible: " .. got.ineligible
  elseif score then
    add_ledger(lines, score, got)
  end
  if #lines > LINES_MAX then
    lines[LINES_MAX + 1] = ("… and %d lines more"):format(#lines - LINES_MAX)
    for i = #lines, LINES_MAX + 2, -1 do
      lines[i] = nil
    end
  end
  return lines
end

return explain
