--- The attacks of tests/hostile/scripts that get as far as being called: what a policy's or a source's custom function does.
local lfs = require "lfs"

local harness = require "harness"

local attacks = { folder = harness.root .. "/tests/hostile/scripts" }

-- Refused when the text is loaded (the unit test sees to it): they never get as far as a call.
local AT_LOADING = { "unknown name", "assignment to", "numbers with LL", "operator ^" }
local ELSEWHERE = { module_arguments = true } -- looks for the name that the unit test gives to its module

--- {{name, ends = what a policy's call of it says}…}, by name.
function attacks.list()
  local list = {}
  for file in lfs.dir(attacks.folder) do
    local name = file:match "^(.*)%.lua$"
    local text = name and not ELSEWHERE[name] and harness.read(attacks.folder .. "/" .. file)
    local ends = text and (text:match "%-%- call: ([^\n]*)" or text:match "%-%- ends: ([^\n]*)")
    for _, reason in ipairs(AT_LOADING) do
      if ends and ends:find(reason, 1, true) then ends = nil end
    end
    if ends and ends ~= "-" then list[#list + 1] = { name = name, ends = ends } end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return attacks
