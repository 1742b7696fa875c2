---@meta signal

local signal = {}

--- The features of a signal set, "name@version": each field is a feature's handle. A misspelt one stops `check`.
---@param ref string "b2b@4"
---@return table<string, Value>
function signal.features(ref) end

--- The lesser of two values, the greater of them: signal.least(2 * f.visits, 20). Not known while one is not.
---@param a Value|number
---@param b Value|number
---@return Value
function signal.least(a, b) end

---@param a Value|number
---@param b Value|number
---@return Value
function signal.most(a, b) end

--- A value kept within two numbers: signal.clamp(f.cart_value / 10, 0, 30).
---@param x Value
---@param low number
---@param high number
---@return Value
function signal.clamp(x, low, high) end

--- True when the feature's latest match, by event time, is no older than `age`; false when there never was one.
---@param feature Value|string f.usage_7d, or its name
---@param age? string "1d"; default: the declaration's max_age
---@return Condition
function signal.fresh(feature, age) end

--- The hatch: Lua that runs for each event, for what the combinators can't say. `view.NAME` are the features listed in
--- reads. The function may not assign to anything outside itself; true counts as 1, false and nil as 0.
---@param name string
---@param about {reads: Value[], why: string}
---@param run fun(view: table): number|boolean
---@return Value
function signal.custom(name, about, run) end

--- Holds when every one does.
---@param list (Condition|Value)[]
---@return Condition
function signal.all(list) end

--- Holds when at least one does.
---@param list (Condition|Value)[]
---@return Condition
function signal.any(list) end

--- Holds when not one of them does.
---@param list (Condition|Value)[]
---@return Condition
function signal.none(list) end

return signal
