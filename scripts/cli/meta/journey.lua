---@meta journey

local journey = {}

--- Where a lead begins.
---@param name string
function journey.start(name) end

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
function journey.go(name) end

--- journey.stage "engaged" { go "mql" { … }, go "nurture" { … } }: transitions in the order in which they are tried; those of the stage
--- around it come after. Keys: `inside = "open"` (lies inside that stage), `start = "engaged"` (has stages inside it, and begins there),
--- `entry`, `exit` (conditions without which no transition leads in, or its own and those inside it out), `on_entry`, `on_exit` (what is
--- done then).
---@param name string
---@return fun(body: table)
function journey.stage(name) end

--- journey.region "consent" { start = "unasked", why = "…" }: a machine of its own beside the main one, of the stages that lie inside
--- it. A lead is in one stage of each.
---@param name string
---@return fun(body: {start: string, why: string})
function journey.region(name) end

--- In on_entry and on_exit: a word in the decision, for whoever acts on it.
---@param name string
function journey.note(name) end

--- In on_entry and on_exit: what is left of evidence with a half-life is forgotten, from the next event on.
---@param name string
function journey.clear(name) end

--- The lead is in this stage now, or in one inside it; also of a region. For transitions, routes and offers.
---@type fun(name: string): Condition
journey.at = nil

--- The lead entered this stage in this decision. For routes and offers.
---@type fun(name: string): Condition
journey.entered = nil

--- A stage that leads nowhere, on purpose. It may have a body without transitions: { inside = "open", on_entry = { … } }.
---@param name string
---@return fun(body: table)
function journey.final(name) end

--- journey.was "engaged" { now = "visitor", why = "…" }: a stage of a version before that is gone, and where its leads are now. It
--- stays as long as there may be leads that nobody heard of since.
---@param name string the stage as it was called
---@return fun(body: {now: string, why: string})
function journey.was(name) end

return journey
