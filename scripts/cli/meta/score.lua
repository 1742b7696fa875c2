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

--- score.cap "no_budget" { when, at_most, why }: while it holds the score is at_most at most, whatever the adjustments
--- above it gave. Adjustments, caps and floors count in the order in which they are written.
---@type fun(name: string): fun(body: {when: Condition, at_most: number, why: string})
score.cap = nil

--- score.floor "asked_for_us" { when, at_least, why }: the reverse.
---@type fun(name: string): fun(body: {when: Condition, at_least: number, why: string})
score.floor = nil

--- score.bands { { "cold", 0 }, { "warm", 50 } }: a band reaches up to the next one.
---@param list {[1]: string, [2]: number}[]
function score.bands(list) end

return score
