--- Models of core/model/model.h in Lua: points of a scorecard or a logistic model, for specs of policies.
local json = require "dkjson"
local sandbox = require "sandbox"

local models = {}

local function bin_points(term, x)
  for _, bin in ipairs(term.bins) do
    if not bin.under or x < bin.under then return bin.points end
  end
end

local function level_of(term, text)
  if text == "" then return term.missing or 0 end
  return term.levels[text] or term.other or 0
end

local function scorecard_points(weights, values, texts)
  local points = weights.base
  for _, term in ipairs(weights.terms) do
    local x = values[term.feature]
    if term.levels then
      points = points + level_of(term, texts[term.feature])
    elseif x ~= x then
      points = points + (term.missing or 0)
    else
      points = points + bin_points(term, x)
    end
  end
  return points
end

local function logistic_margin(weights, values, texts)
  local margin = weights.intercept
  for _, term in ipairs(weights.terms) do
    if term.levels then
      margin = margin + level_of(term, texts[term.feature])
    else
      local x = values[term.feature]
      if x ~= x then x = term.missing or 0 end
      local low = term.transform == "log1p" and (term.min or 0) or term.transform == "clip" and term.min or -math.huge
      x = math.max(low, math.min(term.transform ~= "identity" and term.max or math.huge, x))
      if term.transform == "log1p" then x = math.log(1 + x) end
      margin = margin + term.weight * x
    end
  end
  return margin
end

--- Reads policies/policies/models/NAME/1; returns a function (values, texts) -> thousandths of a point from 0 to
--- 100,000.
function models.open(root, name)
  local folder = ("%s/policies/models/%s/1/"):format(root, name)
  local head = assert(json.decode((assert(sandbox.read(folder .. "model.json"), "no " .. folder))))
  local weights = assert(json.decode(sandbox.read(folder .. "weights.json")))
  return function(values, texts)
    local points
    if head.kind == "scorecard" then
      points = scorecard_points(weights, values, texts)
    else
      points = head.scale.points_at_even_odds
        + logistic_margin(weights, values, texts) * head.scale.points_to_double_odds / math.log(2)
    end
    return math.floor(math.max(0, math.min(100, points)) * 1000 + 0.5)
  end,
    head,
    weights
end

return models
