---@meta route

local route = {}

--- The rules below this line choose an owner when `name` is entered.
---@param name string a stage
function route.on_enter(name) end

--- route.to "emea" { when, why, pick, team, sticky, skill, full }: the team is the rule's name unless `team` says another.
---@class RouteBody
---@field why string
---@field team? string
---@field pick? string "weighted" (default): the lead draws; "round_robin": by turns; "least_busy": who has the fewest for his weight
---@field sticky? boolean the owner from before keeps the lead if he can (by turns)
---@field skill? string of those who have it in the column skills (by turns)
---@field full? string where nobody has room: "otherwise" (default) goes on to the otherwise rule, "wait" waits (by turns)
---@class RouteRuleBody: RouteBody
---@field when Condition
---@param name string
---@return fun(body: RouteRuleBody)
function route.to(name) end

--- route.otherwise "inbound" { why, pick, team, sticky, skill }: when no rule above matched.
---@param name string
---@return fun(body: RouteBody)
function route.otherwise(name) end

--- route.by_table "territories" { of = f.country, why, pick, … }: one rule for each team of data/territories.csv (columns
--- is, team): who is what the rows say goes to their team. The rules are called "territories emea".
---@param name string
---@return fun(body: RouteBody | {of: Value})
function route.by_table(name) end

--- route.accept_within "4h" { why, otherwise, tries }: an owner who was given a lead by turns and does not take it in that time
--- (event crm.lead_accepted), or gives it back (crm.lead_rejected), loses it to another one of the team; after `tries` (1) more of
--- them to the rule `otherwise` of these routes.
---@param time string
---@return fun(body: {why: string, otherwise?: string, tries?: number})
function route.accept_within(time) end

--- route.release "nurture" { why }: who enters that stage has no owner any more, and his seat is free. An owner by hand stays.
---@param stage string
---@return fun(body: {why: string})
function route.release(stage) end

return route
