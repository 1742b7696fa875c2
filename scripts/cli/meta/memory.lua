---@meta memory

local memory = {}

--- memory.number "calls_made" { initial = 0, at_least = 0, at_most = 100, merge = "max" | "sum" | "latest", why }
---@param name string
---@return fun(body: {initial?: number, at_least?: number, at_most: number, merge?: string, why: string}): Value
function memory.number(name) end

--- memory.flag "asked_not_to_call" { merge = "max" | "latest", why }: as a condition, it is set; at first it is not.
---@param name string
---@return fun(body: {merge?: string, why: string}): Value
function memory.flag(name) end

--- memory.time "last_call" { why }: as a value, how long ago it was; not known while it never was.
---@param name string
---@return fun(body: {why: string}): Value
function memory.time(name) end

--- memory.choice "plan" { of = { "free", "pro" }, initial = "free", why }: compared by :is "pro"; not known while it is none.
---@param name string
---@return fun(body: {of: string[], initial?: string, why: string}): Value
function memory.choice(name) end

--- memory.on "crm.call_logged" { add = { calls_made = 1 }, set = { last_call = "now" }, when?, why }: as soon as the event
--- comes, before any other rule. `set`: a number, true or false, "now" or "never", an option or "none".
---@param events string|string[]
---@return fun(body: {set?: table, add?: table<string, number>, when?: Condition, why: string})
function memory.on(events) end

return memory
