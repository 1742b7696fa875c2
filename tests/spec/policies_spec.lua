--- The shipped policies: they check without a warning, and each case of their own specs holds, in both variants of the
--- compiled chunk.
local lead = require "lead"
local sandbox = require "sandbox"

local POLICIES = { "b2b_saas", "consumer_loans" }

for _, name in ipairs(POLICIES) do
  describe("policy " .. name, function()
    local modules = sandbox.modules(".", name)
    local artifact, custom = sandbox.build(".", name)

    it("has nothing that check finds", function() assert.are.same({}, artifact.problems) end)

    local load = sandbox.loader(modules)
    local input = { spec = name .. ".policy_spec", path = ("policies/%s/policy_spec.lua"):format(name) }
    local read = load("spec")(input)

    it("has a well-formed spec", function()
      assert.are.same({}, read.problems)
      assert.is_true(#read.cases >= 10)
    end)

    for number, case in ipairs(read.cases) do
      it(case.name, function()
        local plain = lead.run_case(artifact, custom, case, { root = "." })
        local traced = lead.run_case(artifact, custom, case, { root = ".", traced = true })
        assert.are.same(plain, traced)
        input.case, input.outcomes = number, plain
        local lines = {}
        for _, failure in ipairs(load("spec")(input).failures) do
          lines[#lines + 1] = failure.where .. ": " .. failure.text
        end
        assert.are.equal("", table.concat(lines, "\n"))
      end)
    end
  end)
end
