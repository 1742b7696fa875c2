--- What an expression of `intent repl` may name, in the order in which core/cli/repl.c hands it over.
local belief = require "belief"
local score = require "score"
local signal = require "signal"
local tree = require "tree"

return function()
  local f = signal.features(("%s@%d"):format(tree.signals.name, tree.signals.version))
  return f, belief, score, signal, signal.all, signal.any, signal.none
end
