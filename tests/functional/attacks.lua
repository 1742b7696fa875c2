--- The attacks of tests/hostile/scripts that get as far as being called: what a policy's or a source's custom function does.
local lfs = require "lfs"

local harness = require "harness"

local attacks = {
  folder = harness.root .. "/tests/hostile/scripts",
  FIRST = 1000, -- attacks are called by numbers that no self-test of a policy tries
}

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

--- A copy of the shipped policies in which an event of b2b_saas can call an attack of the list: the ith by
--- `event = "Attack", properties = { attack = attacks.attacks.FIRST + i }`.
function attacks.policies(list)
  local policies = harness.policies()
  lfs.mkdir(policies .. "/b2b_saas/attacks")
  local lines = { "local attacks = {" }
  for i, attack in ipairs(list) do
    harness.copy(attacks.folder .. "/" .. attack.name .. ".lua", policies .. "/b2b_saas/attacks/" .. attack.name .. ".lua")
    lines[#lines + 1] = ('  [%d] = require "b2b_saas.attacks.%s",'):format(attacks.FIRST + i, attack.name)
  end
  lines[#lines + 1] = [[
}
local odd = signal.custom("odd", { reads = { f.attack }, why = "A hatch that was left open." }, function(view)
  local attack = attacks[view.attack]
  return attack and attack(view) or 0
end)
belief.channel "web"]]
  harness.edit(
    policies .. "/signals/b2b/features/web.lua",
    "return {\n",
    'return {\n  { name = "attack", op = "last", on = { "Attack" }, of = "properties.attack", description = "Which attack." },\n'
  )
  harness.edit(policies .. "/b2b_saas/policy.lua", 'belief.channel "web"', table.concat(lines, "\n"))
  harness.edit(
    policies .. "/b2b_saas/policy.lua",
    "f.docs_views_30d:at_least(5)",
    "any { f.docs_views_30d:at_least(5), odd:at_least(1) }"
  )
  return policies
end

return attacks
