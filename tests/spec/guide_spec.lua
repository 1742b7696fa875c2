--- The examples of docs/policy-guide.md: the policies load without a problem, the spec holds, and what "check finds" is
--- what it says. And the signal set of docs/features.md.
local lead = require "lead"
local sandbox = require "sandbox"

-- Fenced blocks as {info, text}.
local function blocks()
  local list, block = {}, nil
  for line in sandbox.read("docs/policy-guide.md"):gmatch "([^\n]*)\n" do
    local info = line:match "^```(.*)$"
    if block and info then
      list[#list + 1], block = block, nil
    elseif info then
      block = { info = info, text = "" }
    elseif block then
      block.text = block.text .. line .. "\n"
    end
  end
  return list
end

local guide = { language = "", files = {}, finds = {} }
for _, block in ipairs(blocks()) do
  if block.info == "lua language" then
    guide.language = guide.language .. block.text
  elseif block.info == "lua finds" then
    guide.finds[#guide.finds + 1] = { text = block.text }
  elseif block.info == "text" then
    guide.finds[#guide.finds].message = block.text
  elseif block.info:find "^csv " then
    guide.files[("policies/guide/data/%s.csv"):format(block.info:sub(5))] = block.text
  else
    guide[block.info] = block.text
  end
end

local function build_language(more)
  local texts = { ["policies/guide/policy.lua"] = guide.language .. (more or "") }
  for path, text in pairs(guide.files) do
    texts[path] = text
  end
  return sandbox.build(".", "guide", texts)
end

describe("the policy guide", function()
  local first =
    { ["policies/prices/policy.lua"] = guide["lua first"], ["policies/prices/policy_spec.lua"] = guide["lua spec"] }

  it("has a policy by hand that does what its spec says", function()
    local artifact = sandbox.build(".", "prices", first)
    assert.are.same({}, artifact.problems)
    local load = sandbox.loader((sandbox.modules(".", "prices", first)))
    local input = { spec = "prices.policy_spec" }
    local read = load "spec"(input)
    assert.are.same({}, read.problems)
    assert.are.equal(2, #read.cases)
    for number, case in ipairs(read.cases) do
      input.case, input.outcomes = number, lead.run_case(artifact, nil, case, { root = "." })
      assert.are.same({}, load "spec"(input).failures)
    end
  end)

  it(
    "has a chapter on the language that is one policy without a problem",
    function() assert.are.same({}, build_language().problems) end
  )

  for _, find in ipairs(guide.finds) do
    it("is right about: " .. find.message:gsub("\n", ""), function()
      local artifact = build_language(find.text)
      local texts = {}
      for i, problem in ipairs(artifact.problems) do
        texts[i] = problem.text .. "\n"
      end
      assert.are.same({ find.message }, texts)
    end)
  end

  it("is right that the signal set of docs/features.md is one", function()
    local page = sandbox.read "docs/features.md"
    local features, head = page:match "\n## A signal set\n.-```lua\n(.-)```.-```lua\n(.-)```"
    local artifact = sandbox.build(".", "trials", {
      ["policies/signals/gym/features/training.lua"] = features,
      ["policies/signals/gym/signals.lua"] = head,
      ["policies/trials/policy.lua"] = [[
local policy, signal, journey = require "policy", require "signal", require "journey"
local action, score = require "action", require "score"
local f = signal.features "gym@1"
policy "trials" { owner = "a@example.com", rationale = "A test.", boundary = "Nothing." }
score.combined { 40 }
journey.start "trial"
journey.stage "trial" {
  journey.go "active" { when = signal.all { f.visits_14d:at_least(3), f.club:is "north" }, on = "Visited", why = "W." },
}
journey.final "active"
action.otherwise "wait" { utility = 1, why = "W." }
]],
    })
    assert.are.same({}, artifact.problems)
  end)

  it("names what a policy may name", function()
    local text = sandbox.read "docs/policy-guide.md"
    local list = text:match "may name: `([^`]+)`"
    local expected, got = {}, {}
    for _, path in ipairs(sandbox.names()) do
      if not path:find "%." then expected[#expected + 1] = path end
    end
    for name in list:gmatch "%S+" do
      got[#got + 1] = name
    end
    table.sort(expected)
    table.sort(got)
    assert.are.same(expected, got)
  end)
end)
