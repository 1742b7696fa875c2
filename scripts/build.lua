--- The entry of a build: runs the policy's text, checks what it declared, compiles it. See core/policy/artifact.h for
--- what goes in and out.
local check = require "check"
local compile = require "compile"
local source_check = require "source_check"
local tree = require "tree"

-- An error that the policy's text raised ends its run, and is one more problem beside those found so far.
local function report_raised(input, raised)
  local path, line, text = tostring(raised):match "^(.-):(%d+): (.*)$"
  if not path then
    path, line, text = ("policies/%s/policy.lua"):format(input.policy), "0", tostring(raised)
  end
  if text:find("^attempt to compare") then
    text = text .. "; what is known of a lead is compared by :at_least(…), :above(…), :at_most(…), :under(…) or :is(…)"
  end
  tree.problem({ path = path, line = tonumber(line) }, "%s", text)
end

--- input: {policy, data = {names}, sets = {names}, files = {paths}, custom = true to get {custom = {functions}}} alone.
return function(input)
  tree.begin(input)
  local ran, raised = pcall(require, input.policy .. ".policy")
  if ran then
    check.run()
    if not input.custom then source_check.run() end
  else
    report_raised(input, raised)
  end
  local problems = tree.sorted_problems()
  if tree.has_errors() then return { problems = problems } end
  if input.custom then
    local functions = {}
    for i, custom in ipairs(tree.customs) do
      functions[i] = custom.run
    end
    return { custom = functions }
  end
  local artifact = compile.run()
  artifact.problems = problems
  return artifact
end
