--- The attacks of tests/hostile/scripts as custom functions of a source's mapping that a running daemon has: each costs
--- its own request, and the next payload is mapped as if it had not been.
local lfs = require "lfs"

local attacks = require "attacks"
local harness = require "harness"
local http = require "http"

local function policies_with(list)
  local policies = harness.policies()
  lfs.mkdir(policies .. "/signals/b2b/attacks")
  local lines = { 'local s = require "source"', "local attacks = {" }
  for _, attack in ipairs(list) do
    local name = attack.name
    harness.copy(attacks.folder .. "/" .. name .. ".lua", policies .. "/signals/b2b/attacks/" .. name .. ".lua")
    lines[#lines + 1] = ("  %s = require 'signals.b2b.attacks.%s',"):format(name, name)
  end
  lines[#lines + 1] = [[
}
return s.source "evil" { owner = "o", rationale = "r", messageId = s.pick "id", userId = s.pick "user", rules = {
  s.rule "attack" { when = s.has "attack", event = "Trial Started", properties = { x = s.custom("odd", { why = "w" },
    function(payload) return attacks[payload.attack](payload) end) } },
  s.rule "good" { event = "Trial Started", properties = { all = s.pick "." } } } }]]
  harness.write(policies .. "/signals/b2b/sources/evil.lua", table.concat(lines, "\n"))
  return policies
end

describe("an attacking mapping on a running daemon", function()
  after_each(harness.finish)

  it("costs the request that it came with, and nothing else", function()
    local list = attacks.list()
    assert.is_true(#list > 60)
    local daemon = harness.start { policies = policies_with(list), shards = 2, ["source.instructions"] = 1000000 }
    local client = daemon:connect()
    local start, hash = daemon:resident(), nil
    local function post(body) return http.request(daemon.ports.http, "POST", "/v1/source/evil", body) end
    for i, attack in ipairs(list) do
      local name = attack.name
      local answer = post(('{"id":%d,"user":"victim","attack":"%s"}'):format(i, name))
      assert.is_true(answer.status == 400 or answer.status == 200, name .. ": " .. answer.body)
      if answer.status == 400 then
        local code = answer.json.code
        assert.is_true(code == "policy_stopped" or code == "invalid_event", name .. ": " .. answer.body)
        assert.is_nil(answer.body:find("0x%x%x%x%x%x%x"), name .. " shows an address: " .. answer.body)
      end
      -- What was there before is no part of what comes now: the same payload, of another lead each time.
      local good = post(('{"id":"g%d","user":"good%d","list":[1,{"a":[2]}]}'):format(i, i))
      assert.equal(200, good.status, "after " .. name .. ": " .. good.body)
      local event = client:must("decision.explain", "good" .. i).event
      local seen = ("%s %s %d"):format(event.event, event.context.source, event.properties.all.list[2].a[1])
      hash = hash or seen
      assert.equal(hash, seen, "after " .. name)
    end
    assert.is_true(daemon:resident() - start < 200e6)
    assert.equal(#list, daemon:metric "intentd_new_leads_total" - (client:call("lead.get", "victim") and 1 or 0))
  end)
end)
