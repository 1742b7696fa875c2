---@meta belief

local belief = {}

--- The sum of all evidence in force, in points.
---@type Value
belief.intent = nil

--- How many channels give points above 0.
---@type Value
belief.channels = nil

--- belief.channel "web" { reliability = 0.8, at_most = 30 }
---@param name string
---@return fun(body: {reliability?: number, at_most?: number})
function belief.channel(name) end

--- belief.evidence "pricing_again" { when, points, channel, why, half_life? }
---@param name string
---@return fun(body: {when: Condition, points: number, channel: string, why: string, half_life?: string})
function belief.evidence(name) end

--- belief.gate "two_channels" { when, why }
---@param name string
---@return fun(body: {when: Condition, why: string})
function belief.gate(name) end

--- Holds when the gate does.
---@param name string
---@return Condition
function belief.passed(name) end

return belief
