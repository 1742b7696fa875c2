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
--- zone, when not those of the policy's head.
---@param name string
---@return fun(body: {when?: Condition, on?: string|string[], after?: string, at?: string, calendar?: string, why: string}): table
journey.go = declare.named(
  "go",
  { when = "condition", on = "texts", after = "wait", at = "clock", calendar = "text", why = "text!" },
  function(entry, fields)
    entry.when, entry.on, entry.why = fields.when, fields.on, fields.why
    entry.after, entry.at, entry.calendar = fields.after, fields.at, fields.calendar
    entry.timer = entry.after or entry.at
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

local function is_go(x) return type(x) == "table" and not value.open(x) and x.kind == "go" end

--- journey.stage "engaged" { go "mql" { … }, go "nurture" { … } }: transitions in the order in which they are tried.
---@param name string
---@return fun(transitions: table[])
function journey.stage(name)
  local entry = declare.entry("stage", name)
  tree.pending[#tree.pending + 1] = entry
  return function(list)
    entry.has_body = true
    entry.transitions = {}
    if type(list) ~= "table" then error(("stage '%s' takes a list { go \"next\" { … }, … }"):format(name), 2) end
    for key, member in pairs(list) do
      if type(key) ~= "number" then
        tree.problem(entry, "stage '%s': no key '%s'; it takes a list of go \"next\" { … }", name, tostring(key))
      elseif is_go(member) then
        member.from = name
        entry.transitions[#entry.transitions + 1] = member
      else
        tree.problem(entry, "stage '%s': entry %d is no go \"next\" { … }", name, key)
      end
    end
    declare.add(tree.stages, entry)
  end
end

--- A stage that leads nowhere, on purpose.
---@param name string
function journey.final(name)
  local entry = declare.entry("stage", name)
  entry.final, entry.transitions = true, {}
  declare.add(tree.stages, entry)
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
