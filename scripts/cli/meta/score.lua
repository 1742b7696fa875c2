---@meta score

local score = {}

--- The fit model's points: the static profile alone.
---@type Value
score.fit = nil

--- The engagement model's points: the behaviour alone.
---@type Value
score.engagement = nil

--- The mixed score, adjustments included. score.combined { 0.3 * score.fit + 0.7 * score.engagement } declares the mix.
---@type Value
score.combined = nil

--- score.adjust "competitor" { when, points, why }
---@param name string
---@return fun(body: {when: Condition, points: number, why: string})
function score.adjust(name) end

--- score.bands { { "cold", 0 }, { "warm", 50 } }: a band reaches up to the next one.
---@param list {[1]: string, [2]: number}[]
function score.bands(list) end

return score
