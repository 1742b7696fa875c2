--- The policy under construction: what its declarations have said so far, and the problems found on the way. One build
--- uses one fresh Lua state, so there is one tree. Only the library writes here.
local tree = { problems = {} }

--- Begins anew with the build's input: {policy, data = {names}, sets = {names}, files = {paths of the sets'}}.
function tree.begin(input)
  for key, member in pairs(tree) do
    if type(member) ~= "function" then tree[key] = nil end
  end
  tree.input = input
  tree.problems = {}
  tree.pending = {} -- declarations whose body has not come
  tree.said = {} -- those whose body has
  tree.policy = nil -- the policy's own declaration
  tree.signals = nil -- {name, version, declarations, files (of each), by_name, names, personal, events, schemas…}
  tree.calendars, tree.calendar_read = {}, {} -- in the order of their numbers; by name, false where one is broken
  tree.made = {} -- every condition and feature handle's node, to find those that decide nothing
  tree.customs = {}
  tree.channels, tree.evidence, tree.gates = {}, {}, {}
  tree.mix, tree.adjustments, tree.bands = nil, {}, nil
  tree.start, tree.stages, tree.goes, tree.was, tree.effects = nil, {}, {}, {}, {}
  tree.fields, tree.remembers = {}, {} -- what is kept of a lead, and the events that change it
  tree.entries, tree.routes, tree.releases = {}, {}, {}
  tree.offers, tree.otherwise, tree.limits, tree.ways, tree.explore = {}, nil, nil, {}, nil -- ways: channels of offers
end

--- Where the policy's own code stands now.
function tree.place()
  local path, line = host.here(1)
  return { path = path or "", line = line or 0 }
end

local function add(is_error, place, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  tree.problems[#tree.problems + 1] = { path = place.path, line = place.line, error = is_error, text = text }
end

--- A problem at `place` (anything with path and line; nil: where the policy's code stands).
function tree.problem(place, text, ...) add(true, place or tree.place(), text, ...) end
function tree.warn(place, text, ...) add(false, place or tree.place(), text, ...) end

--- "; did you mean 'x'?" or "".
function tree.hint(word, names)
  local near = type(word) == "string" and host.suggest(word, names)
  return near and ("; did you mean '" .. near .. "'?") or ""
end

function tree.has_errors()
  for _, problem in ipairs(tree.problems) do
    if problem.error then return true end
  end
  return false
end

--- By place, then by text, each once: one mistake in a shared helper is reported once.
function tree.sorted_problems()
  table.sort(tree.problems, function(a, b)
    if a.path ~= b.path then return a.path < b.path end
    if a.line ~= b.line then return a.line < b.line end
    return a.text < b.text
  end)
  local unique, last = {}, nil
  for _, problem in ipairs(tree.problems) do
    if not (last and last.path == problem.path and last.line == problem.line and last.text == problem.text) then
      unique[#unique + 1] = problem
    end
    last = problem
  end
  return unique
end

return tree
