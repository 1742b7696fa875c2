--- Scores: what the models say, and what this policy makes of it. All in points, 0 to 100.
local freeze = require "frozen"
local declare = require "declare"
local numbers = require "numbers"
local tree = require "tree"
local value = require "value"

local score = {}

--- The fit model's points: the static profile alone.
---@type Value
score.fit = value.make { kind = "fit", label = "fit" }
--- The engagement model's points: the behaviour alone.
---@type Value
score.engagement = value.make { kind = "engagement", label = "engagement" }
--- The mixed score, adjustments included. score.combined { 0.3 * score.fit + 0.7 * score.engagement } declares the mix.
---@type Value
score.combined = value.make {
  kind = "combined",
  label = "score",
  call = function(body)
    local place = tree.place()
    local mix = type(body) == "table" and not value.open(body) and body[1] or nil
    local node = mix and value.as_value(mix)
    if not node then error("score.combined { 0.3 * score.fit + 0.7 * score.engagement }", 3) end
    if tree.mix then
      tree.problem(place, "score.combined is declared twice; first in line %d", tree.mix.line)
      return
    end
    tree.mix = { node = node, path = place.path, line = place.line }
  end,
}

--- score.adjust "competitor" { when, points, why }
---@param name string
---@return fun(body: {when: Condition, points: number, why: string})
score.adjust = declare.named(
  "adjust",
  { when = "condition!", points = "number!", why = "text!" },
  function(entry, fields)
    entry.when, entry.points, entry.why = fields.when, fields.points or 0, fields.why
    declare.add(tree.adjustments, entry)
  end
)

-- A cap or a floor: a row of the ledger like an adjustment, of as many points as it takes or gives.
local function bound(kind, key)
  return declare.named("score." .. kind, { when = "condition!", [key] = "number!", why = "text!" }, function(entry, fields)
    entry.kind, entry.when, entry.why, entry.points = kind, fields.when, fields.why, 0
    entry.bound = fields[key] or 50
    entry.is_outside = not fields[key] or entry.bound < 0 or entry.bound > 100
    if entry.is_outside and fields[key] then
      tree.problem(entry, "%s '%s': %s lies between 0 and 100", kind, entry.name, key)
    end
    declare.add(tree.adjustments, entry)
  end)
end

--- score.cap "no_budget" { when, at_most, why }: while it holds the score is at_most at most, whatever the adjustments
--- above it gave. Adjustments, caps and floors count in the order in which they are written.
---@type fun(name: string): fun(body: {when: Condition, at_most: number, why: string})
score.cap = bound("cap", "at_most")

--- score.floor "asked_for_us" { when, at_least, why }: the reverse.
---@type fun(name: string): fun(body: {when: Condition, at_least: number, why: string})
score.floor = bound("floor", "at_least")

--- score.bands { { "cold", 0 }, { "warm", 50 } }: a band reaches up to the next one.
---@param list {[1]: string, [2]: number}[]
function score.bands(list)
  local place = tree.place()
  if type(list) ~= "table" or value.open(list) then error('score.bands { { "cold", 0 }, { "warm", 50 } }', 2) end
  if tree.bands then tree.problem(place, "score.bands is declared twice") end
  local bands, seen = {}, {}
  for i, band in ipairs(list) do
    if type(band) ~= "table" or type(band[1]) ~= "string" or not numbers.is_finite(band[2]) then
      tree.problem(place, 'score.bands: entry %d is no { "name", from }', i)
    else
      local before = bands[#bands]
      if seen[band[1]] then tree.problem(place, "score.bands: '%s' twice", band[1]) end
      if not before and band[2] ~= 0 then
        tree.problem(
          place,
          "score.bands: the first begins at 0, so that every score has a band; '%s' begins at %s",
          band[1],
          numbers.show(band[2])
        )
      elseif before and band[2] <= before.from then
        tree.problem(
          place,
          "score.bands: out of order: '%s' from %s comes after '%s' from %s",
          band[1],
          numbers.show(band[2]),
          before.name,
          numbers.show(before.from)
        )
      elseif band[2] > 100 then
        tree.problem(
          place,
          "score.bands: '%s' from %s is never reached: scores end at 100",
          band[1],
          numbers.show(band[2])
        )
      end
      seen[band[1]] = true
      bands[#bands + 1] = { name = band[1], from = band[2] }
    end
  end
  if #bands == 0 then tree.problem(place, "score.bands is empty") end
  tree.bands = bands
end

return freeze("score", score)
