--- What sales says, held against the signal set's events and the journey.
local freeze = require "frozen"
local sales = require "sales"
local tree = require "tree"

local check_sales = {}

local function is_among(list, name)
  for _, other in ipairs(list) do
    if other == name then return true end
  end
  return false
end

local function check_names()
  local events = tree.signals and tree.signals.events
  for _, kind in ipairs(events and sales.kinds or {}) do
    for _, event in ipairs(tree.policy.sales[kind] or {}) do
      if not is_among(events, event) then
        tree.problem(
          tree.policy,
          "sales: %s: no event '%s' in the signal set '%s'%s",
          kind,
          event,
          tree.signals.name,
          tree.hint(event, events)
        )
      end
    end
  end
end

-- A transition that waits for an event that only ever comes while the journey rests.
local function check_transitions()
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      local rests = #(go.on or {}) > 0
      for _, event in ipairs(go.on or {}) do
        rests = rests and sales.meaning(event) == "disqualified"
      end
      if rests then
        tree.problem(
          go,
          "%s -> %s never fires: '%s' disqualifies the lead, and the journey of a disqualified lead rests",
          stage.name,
          go.name,
          table.concat(go.on, "', '")
        )
      end
    end
  end
end

--- Reports into the tree.
function check_sales.run()
  if not tree.policy then return end
  check_names()
  check_transitions()
end

return freeze("check_sales", check_sales)
