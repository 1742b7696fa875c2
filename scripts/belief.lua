--- Belief: how evidence of buying now adds up, in points. Evidence belongs to a channel; a channel has a reliability
--- that its points are multiplied by, and a most that it can give. A gate is a named condition that rules refer to.
---
--- Evidence counts in full while its condition holds. Afterwards it is halved by each half-life; without one it ends
--- at once.
local freeze = require "frozen"
local declare = require "declare"
local tree = require "tree"
local value = require "value"

local belief = {}

--- The sum of all evidence in force, in points.
---@type Value
belief.intent = value.make { kind = "intent", label = "intent" }
--- How many channels give points above 0.
---@type Value
belief.channels = value.make { kind = "channels", label = "channels" }

--- belief.channel "web" { reliability = 0.8, at_most = 30 }
---@param name string
---@return fun(body: {reliability?: number, at_most?: number})
belief.channel = declare.named("channel", { reliability = "number", at_most = "number" }, function(entry, fields)
  entry.reliability, entry.at_most = fields.reliability or 1, fields.at_most
  if entry.reliability <= 0 or entry.reliability > 1 then
    tree.problem(entry, "channel '%s': reliability is above 0 and at most 1", entry.name)
  end
  if entry.at_most and entry.at_most <= 0 then tree.problem(entry, "channel '%s': at_most is above 0", entry.name) end
  declare.add(tree.channels, entry)
end)

--- belief.evidence "pricing_again" { when, points, channel, why, half_life? }
---@param name string
---@return fun(body: {when: Condition, points: number, channel: string, why: string, half_life?: string})
belief.evidence = declare.named(
  "evidence",
  { when = "condition!", points = "number!", channel = "text!", why = "text!", half_life = "duration" },
  function(entry, fields)
    entry.when, entry.points, entry.channel = fields.when, fields.points or 0, fields.channel
    entry.why, entry.half_life_ms = fields.why, fields.half_life
    if fields.points == 0 then tree.problem(entry, "evidence '%s': 0 points are no evidence", entry.name) end
    declare.add(tree.evidence, entry)
  end
)

--- belief.gate "two_channels" { when, why }
---@param name string
---@return fun(body: {when: Condition, why: string})
belief.gate = declare.named("gate", { when = "condition!", why = "text!" }, function(entry, fields)
  entry.when, entry.why = fields.when, fields.why
  declare.add(tree.gates, entry)
end)

--- Holds when the gate does.
---@param name string
---@return Condition
function belief.passed(name)
  if type(name) ~= "string" then error('belief.passed "gate"', 2) end
  return value.make_condition { kind = "gate", gate = name, label = "passed " .. name }
end

return freeze("belief", belief)
