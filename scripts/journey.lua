--- The journey: stages, and the transitions between them. After each event the first transition that fires is taken,
--- then those of the new stage are tried, and so on, at most 8 steps; `on` and `after` can only fire as the first step
--- of a decision.
local freeze = require "frozen"
local declare = require "declare"
local tree = require "tree"
local value = require "value"

local journey = {}

--- Where a lead begins.
---@param name string
function journey.start(name)
  local entry = declare.entry("start", name)
  if tree.start then
    tree.problem(entry, "journey.start is declared twice; first in line %d", tree.start.line)
    return
  end
  tree.start = entry
end

--- journey.go "stage" { when?, on?, after?, at?, calendar?, why }: fires when everything given holds. `on`: this event's name
--- is it (or one of a list); `after`: so long in the stage ("21d", "4 business hours", "2 business days"); `at`: the next time
--- that the clock shows it ("09:00", "mon 09:00", "business day 09:00"); both by a durable timer. `calendar`: whose hours and
--- zone, when not those of the policy's head. `resume`: the stage has others inside it, and the lead goes back to the one it was in last.
--- `set` and `add`: what is kept of the lead from then on (scripts/memory.lua).
---@param name string
---@class Go
---@field when? Condition
---@field on? string|string[]
---@field after? string
---@field at? string
---@field calendar? string
---@field resume? boolean
---@field set? table<string, number|boolean|string>
---@field add? table<string, number>
---@field why string
---@return fun(body: Go): table
journey.go = declare.named(
  "go",
  {
    when = "condition",
    on = "texts",
    after = "wait",
    at = "clock",
    calendar = "text",
    resume = "truth",
    set = "table",
    add = "table",
    why = "text!",
  },
  function(entry, fields)
    entry.resume = fields.resume or nil
    entry.when, entry.on, entry.why = fields.when, fields.on, fields.why
    entry.after, entry.at, entry.calendar = fields.after, fields.at, fields.calendar
    entry.timer, entry.set, entry.add = entry.after or entry.at, fields.set, fields.add
    entry.broken = fields.when_wrong or fields.on_wrong or fields.after_wrong or fields.at_wrong
    if entry.on and entry.timer then
      tree.problem(
        entry,
        "go '%s': a timer firing is no event, so on and %s can't both hold; write two transitions",
        entry.name,
        entry.after and "after" or "at"
      )
    end
    if entry.after and entry.at then
      tree.problem(entry, "go '%s': after and at are two timers; write two transitions", entry.name)
    end
    tree.goes[#tree.goes + 1] = entry
    return entry
  end
)

local function is_of(x, kind) return type(x) == "table" and not value.open(x) and x.kind == kind end

-- What is done when a stage is entered or left: a list of journey.note and journey.clear.
local function read_effects(entry, key, list)
  local out = {}
  for i, member in ipairs(type(list) == "table" and not value.open(list) and list or { list }) do
    if is_of(member, "note") or is_of(member, "clear") then
      out[#out + 1] = member
      member.is_used = true
    else
      tree.problem(
        entry,
        "%s '%s': %s takes a list of journey.note \"…\" and journey.clear \"…\"; entry %d is neither",
        entry.kind,
        entry.name,
        key,
        i
      )
    end
  end
  return out
end

local STAGE_KEYS =
  { inside = "text", start = "text", entry = "condition", exit = "condition", on_entry = "table", on_exit = "table" }

-- A stage's body: transitions in their order, and keys.
local function read_body(entry, body, keys)
  local named = {}
  entry.transitions = {}
  for key, member in pairs(body) do
    if type(key) ~= "number" then
      named[key] = member
    elseif is_of(member, "go") then
      member.from = entry.name
      entry.transitions[#entry.transitions + 1] = member
    else
      tree.problem(entry, "stage '%s': entry %d is no go \"next\" { … }", entry.name, key)
    end
  end
  local fields = declare.fields(entry, keys, named)
  entry.inside, entry.start, entry.entry, entry.exit = fields.inside, fields.start, fields.entry, fields.exit
  entry.on_entry = read_effects(entry, "on_entry", fields.on_entry or {})
  entry.on_exit = read_effects(entry, "on_exit", fields.on_exit or {})
end

--- journey.stage "engaged" { go "mql" { … }, go "nurture" { … } }: transitions in the order in which they are tried; those of the stage
--- around it come after. Keys: `inside = "open"` (lies inside that stage), `start = "engaged"` (has stages inside it, and begins there),
--- `entry`, `exit` (conditions without which no transition leads in, or its own and those inside it out), `on_entry`, `on_exit` (what is
--- done then).
---@param name string
---@return fun(body: table)
function journey.stage(name)
  local entry = declare.entry("stage", name)
  tree.pending[#tree.pending + 1] = entry
  return function(body)
    entry.has_body = true
    if type(body) ~= "table" or value.open(body) then
      error(("stage '%s' takes a list { go \"next\" { … }, … }"):format(name), 2)
    end
    read_body(entry, body, STAGE_KEYS)
    declare.add(tree.stages, entry)
  end
end

--- journey.region "consent" { start = "unasked", why = "…" }: a machine of its own beside the main one, of the stages that lie inside
--- it. A lead is in one stage of each.
---@param name string
---@return fun(body: {start: string, why: string})
journey.region = declare.named("region", { start = "text!", why = "text!" }, function(entry, fields)
  entry.is_region, entry.transitions, entry.on_entry, entry.on_exit = true, {}, {}, {}
  entry.start, entry.why = fields.start, fields.why
  declare.add(tree.stages, entry)
end)

--- In on_entry and on_exit: a word in the decision, for whoever acts on it.
---@param name string
function journey.note(name)
  local entry = declare.entry("note", name)
  tree.effects[#tree.effects + 1] = entry
  return entry
end

--- In on_entry and on_exit: what is left of evidence with a half-life is forgotten, from the next event on.
---@param name string
function journey.clear(name)
  local entry = declare.entry("clear", name)
  tree.effects[#tree.effects + 1] = entry
  return entry
end

local function asked(kind, words)
  return function(name)
    if type(name) ~= "string" then error(("journey.%s takes a stage's name in quotes"):format(kind), 2) end
    return value.make_condition { kind = kind, stage = name, label = ("%s %s"):format(words, name) }
  end
end

--- The lead is in this stage now, or in one inside it; also of a region. For transitions, routes and offers.
---@type fun(name: string): Condition
journey.at = asked("at", "in stage")
--- The lead entered this stage in this decision. For routes and offers.
---@type fun(name: string): Condition
journey.entered = asked("entered", "entered")

--- A stage that leads nowhere, on purpose. It may have a body without transitions: { inside = "open", on_entry = { … } }.
---@param name string
---@return fun(body: table)
function journey.final(name)
  local entry = declare.entry("stage", name)
  entry.final, entry.transitions, entry.on_entry, entry.on_exit = true, {}, {}, {}
  declare.add(tree.stages, entry)
  return function(body)
    if type(body) ~= "table" then error(("journey.final '%s' takes a table { … }"):format(name), 2) end
    read_body(entry, body, { inside = "text", entry = "condition", on_entry = "table" })
    if #entry.transitions > 0 then tree.problem(entry, "stage '%s' is final and has a transition", name) end
  end
end

--- journey.was "engaged" { now = "visitor", why = "…" }: a stage of a version before that is gone, and where its leads are now. It
--- stays as long as there may be leads that nobody heard of since.
---@param name string the stage as it was called
---@return fun(body: {now: string, why: string})
journey.was = declare.named("journey.was", { now = "text!", why = "text!" }, function(entry, fields)
  entry.now, entry.why = fields.now, fields.why
  if entry.now then declare.add(tree.was, entry) end
end)

return freeze("journey", journey)
