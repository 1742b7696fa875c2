--- What check says of actions: offers that can never win, stages and names that are not there.
local bounds = require "bounds"
local freeze = require "frozen"
local naming = require "naming"
local numbers = require "numbers"
local tree = require "tree"

local names_of, find = naming.all, naming.find

local check_action = {}

--- Reports into the tree.
function check_action.run()
  for _, offer in ipairs(tree.offers) do
    for _, name in ipairs(offer.stages) do
      if not find(tree.stages, name) then
        tree.problem(offer, "offer '%s': no stage '%s'%s", offer.name, name, tree.hint(name, names_of(tree.stages)))
      end
    end
    local utility = offer.utility
    if utility and utility.kind ~= "unknown" and tree.otherwise then
      local _, high = bounds.of(utility)
      if high <= tree.otherwise.utility then
        tree.problem(
          offer,
          "offer '%s' can never win: it is worth at most %s, '%s' %s",
          offer.name,
          numbers.show(high),
          tree.otherwise.name,
          numbers.show(tree.otherwise.utility)
        )
      end
    end
    if tree.otherwise and offer.name == tree.otherwise.name then
      tree.problem(offer, "offer '%s' has the name of action.otherwise", offer.name)
    end
  end
  if #tree.offers > 0 and not tree.otherwise then
    tree.problem(
      tree.offers[1],
      'offers need an action.otherwise "name" { utility = …, why = … }: what is done when none is worth it?'
    )
  end
end

return freeze("check_action", check_action)
