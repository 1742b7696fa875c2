--- The files of a new policy or signal set: small, whole, and to be changed. Asked by `intent new`.
local numbers = require "numbers"

local POLICY = [[
-- @NAME@: say in a sentence what it is for. docs/policy-guide.md has the language; `intent check` and `intent test` look after it.
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, route, action = require "journey", require "route", require "action"
local go = journey.go
local f = signal.features "@SIGNALS@" -- the signals that it reads; a misspelt name stops `check`

policy "@NAME@" {
  owner = "@OWNER@", -- who answers for it
  rationale = "Who does it again and again wants to talk.",
  boundary = "Ranks and routes. Never prices, never refuses service.", -- what it must never do
  team = "sales_team", -- data/sales_team.csv: the people
}

-- Evidence of buying now, in points: in full while it holds, then halved by each half-life.
belief.channel "web" { reliability = 0.8, at_most = 50 }
belief.evidence "@EVIDENCE@" { when = f.@FEATURE@:at_least(3), points = 60, half_life = "7d", channel = "web",
  why = "Three times is no accident." }

journey.start "visitor"
journey.stage "visitor" {
  go "lead" { when = belief.intent:at_least(40), why = "Likely enough to be worth somebody's time." },
}
journey.stage "lead" {
  go "nurture" { after = "30d", why = "A month without anything coming of it." },
}
journey.stage "nurture" {
  go "lead" { on = "@EVENT@", when = belief.intent:at_least(40), why = "Came back." },
}

route.on_enter "lead"
route.otherwise "sales" { pick = "weighted", why = "Shared among those who have time." }

action.offer "call" { stages = { "lead" }, utility = belief.intent, why = "While it is warm." }
action.otherwise "wait" { utility = 5, why = "By default, leave people alone." }
]]

local SPEC = [[
-- What @NAME@ should make of a few lives. Run by `intent test`; times are the leads' own.
describe("somebody who does it three times", function()
  it("becomes a lead, gets an owner and a call", function()
    lead()
      :@DO2@
      :expect_stage("visitor"):expect_action("wait"):expect_no_owner()
      :@DO1@
      :expect_stage("lead"):expect_transitions { "visitor -> lead" }
      :expect_owner { "ann", "ben" }:expect_action("call")
  end)

  it("is left alone after a month", function()
    lead()
      :@DO3@
      :wait("30d"):expect_stage("nurture"):expect_action("wait")
  end)

  it("is a lead again when it comes back", function()
    lead()
      :@DO3@
      :wait("30d"):expect_stage("nurture")
      :@DO3@
      :expect_stage("lead"):expect_transitions { "nurture -> lead" }
  end)
end)
]]

local TEAM = "name,team,weight\nann,sales,2\nben,sales,1\n"

local SIGNALS = [[
-- What is heard of @NAME@'s leads. Raise the version when a feature's value changes its meaning: policies say which one they were
-- written for. docs/features.md has the ops, docs/events.md what an event is.
return {
  name = "@NAME@",
  version = 1,
  owner = "@OWNER@",
  rationale = "Few signals, each of which a person can explain.",
  -- The tracked events that there are: `check` knows a misspelt one by this list.
  events = { "Pricing Viewed", "Demo Requested", "Deal Won", "Deal Lost" },
  -- Encrypted under the lead's own key before they are stored, and never shown.
  personal = { "traits.email", "traits.firstName", "traits.lastName", "traits.name", "traits.phone", "context.ip" },
}
]]

local FEATURES = [[
-- What leads do on the web site.
return {
  { name = "pricing_views_7d", op = "count", on = { "Pricing Viewed" }, window = "7d",
    description = "Looks at the price list in a week." },
  { name = "demo_requested_30d", op = "flag", on = { "Demo Requested" }, window = "30d", tile = "1d",
    description = "1 when a demo was asked for in the last month." },
  { name = "idle", op = "recency", description = "How long it has been quiet." },
  { name = "region", op = "last", on = { { type = "identify" } }, of = "traits.region", text = true, class = "profile",
    description = "Where the lead is." },
}
]]

local function fill(template, values)
  return (template:gsub("@(%u+%d?)@", function(key) return values[key] end))
end

-- ---- which feature a new policy begins with ----

-- Properties that make an event match a declaration's `where`; nil: this file does not know how.
local function properties_of(where)
  local properties = {}
  for _, condition in ipairs(where and (where.path and { where } or where) or {}) do
    local key = type(condition.path) == "string" and condition.path:match "^properties%.([%w_]+)$"
    if not key or type(condition.is) ~= "string" then return nil end
    properties[#properties + 1] = ("%s = %q"):format(key, condition.is)
  end
  return properties
end

-- The tracked event that a declaration counts.
local function event_of(declaration)
  local on = declaration.on
  if type(on) == "string" then return on end
  if type(on) ~= "table" then return nil end
  for _, item in ipairs(#on == 0 and { on } or on) do
    if type(item) == "string" then return item end
    if type(item) == "table" and item.event and (item.type == nil or item.type == "track") and not item.channel then
      return item.event
    end
  end
end

-- What is counted for so long that three times in a few minutes are three; nil: not that.
local function fits(declaration)
  if declaration.op ~= "count" or declaration.of then return nil end
  local window = declaration.window
  if window and not (numbers.duration_ms(window) and numbers.duration_ms(window) >= 3600000) then return nil end
  local event, properties = event_of(declaration), properties_of(declaration.where)
  return event and properties and { name = declaration.name, event = event, properties = properties }
end

local function choose(declarations)
  for _, declaration in ipairs(declarations) do
    local fit = declaration.window and fits(declaration)
    if fit then return fit end
  end
  for _, declaration in ipairs(declarations) do
    local fit = fits(declaration)
    if fit then return fit end
  end
end

local function verb(fit, times)
  local more = {}
  if times > 1 then more[1] = ("times = %d"):format(times) end
  if #fit.properties > 0 then more[#more + 1] = ("properties = { %s }"):format(table.concat(fit.properties, ", ")) end
  if #more == 0 then return ("track(%q)"):format(fit.event) end
  if #fit.properties == 0 then return ("track(%q, %d)"):format(fit.event, times) end
  return ("track(%q, { %s })"):format(fit.event, table.concat(more, ", "))
end

local function new_policy(ask)
  local fit = choose(ask.declarations)
  if not fit then return { error = ("the signal set '%s' counts no tracked event, which a new policy begins with"):format(ask.set) } end
  local values = { NAME = ask.name, SIGNALS = ("%s@%d"):format(ask.set, ask.version), OWNER = ask.owner, FEATURE = fit.name,
    EVIDENCE = (fit.name:gsub("_%d+%a$", "")) .. "_again", EVENT = fit.event, DO1 = verb(fit, 1), DO2 = verb(fit, 2), DO3 = verb(fit, 3) }
  return {
    files = {
      { path = "policy.lua", text = fill(POLICY, values) },
      { path = "policy_spec.lua", text = fill(SPEC, values) },
      { path = "data/sales_team.csv", text = TEAM },
    },
  }
end

local function new_signals(ask)
  local values = { NAME = ask.name, OWNER = ask.owner }
  return {
    files = {
      { path = "signals.lua", text = fill(SIGNALS, values) },
      { path = "features/web.lua", text = FEATURES },
    },
  }
end

--- {what = "policy", name, owner, set, version, declarations} or {what = "signals", name, owner} -> {files = {{path, text}…}} or
--- {error}.
return function(ask)
  if ask.what == "policy" then return new_policy(ask) end
  return new_signals(ask)
end
