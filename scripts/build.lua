--- The entry of a build: runs the policy's text, checks what it declared, compiles it. See core/policy/artifact.h for
--- what goes in and out.
local signal_load = require "signal_load"
local tree = require "tree"

-- What looks at a tree and compiles it is read when it is wanted: a state that only runs custom functions is opened anew
-- behind each call that was stopped, and the shard waits for it.
local function part(name) return require(name) end

-- An error that the text raised ends its run, and is one more problem beside those found so far.
local function report_raised(input, raised)
  local path, line, text = tostring(raised):match "^(.-):(%d+): (.*)$"
  if not path then
    path = input.set and ("policies/signals/%s/signals.lua"):format(input.set) or ("policies/%s/policy.lua"):format(input.policy)
    line, text = "0", tostring(raised)
  end
  if text:find("^attempt to compare") then
    text = text .. "; what is known of a lead is compared by :at_least(…), :above(…), :at_most(…), :under(…) or :is(…)"
  end
  tree.problem({ path = path, line = tonumber(line) }, "%s", text)
end

-- Numbers, texts, truths and tables of them: what can be handed over.
local function is_plain(x, depth)
  if type(x) ~= "table" then return type(x) == "number" or type(x) == "string" or type(x) == "boolean" end
  if depth == 0 then return false end
  for key, member in pairs(x) do
    if not is_plain(key, 0) or not is_plain(member, depth - 1) then return false end
  end
  return true
end

-- The set of a policy that can't be compiled, for the engine to judge: a rule that reads a feature which is declared
-- wrongly sounds as if the rule were wrong. nil when the set's own files have problems already.
local function set_alone(input)
  if not tree.signals then return nil end
  for _, problem in ipairs(tree.problems) do
    if problem.error and problem.path:find "^policies/signals/" then return nil end
  end
  local set = signal_load.put(tree.signals, { owner = tree.signals.owner, rationale = tree.signals.rationale })
  return (input.set or is_plain(set, 16)) and set or nil -- of a set alone, what is not is its error
end

-- A signal set without a policy: true, or false and what its files raised.
local function read_set(name)
  return pcall(function() tree.signals = signal_load.set(name) end)
end

-- Lua functions are no data: a policy's custom ones are run in the state that they were made in.
local function customs()
  local functions = {}
  for i, custom in ipairs(tree.customs) do
    functions[i] = custom.run
  end
  return { custom = functions }
end

--- input: {policy, data = {names}, sets = {names}, files = {paths}, custom = true to get {custom = {functions}}} alone;
--- or {set = NAME, sets, files} to get {problems, set} alone.
return function(input)
  tree.begin(input)
  local ran, raised
  if input.set then
    ran, raised = read_set(input.set)
  else
    ran, raised = pcall(require, input.policy .. ".policy")
  end
  if not ran then report_raised(input, raised) end
  if ran and not input.set and not input.custom then part("check").run() end -- custom functions are of what was checked
  if ran and not input.custom then part("source_check").run() end
  local problems = tree.sorted_problems()
  if input.set or tree.has_errors() then return { problems = problems, set = set_alone(input) } end
  if input.custom then return customs() end
  local artifact = part("compile").run()
  artifact.problems = problems
  return artifact
end
