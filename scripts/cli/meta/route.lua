---@meta route

local route = {}

--- The rules below this line choose an owner when `name` is entered.
---@param name string a stage
function route.on_enter(name) end

--- route.to "emea" { when, why, pick = "weighted", team = "emea" }: the team is the rule's name unless `team` says
--- another.
---@param name string
---@return fun(body: {when: Condition, why: string, pick?: string, team?: string})
function route.to(name) end

--- route.otherwise "inbound" { why, pick = "weighted", team = … }: when no rule above matched.
---@param name string
---@return fun(body: {why: string, pick?: string, team?: string})
function route.otherwise(name) end

return route
