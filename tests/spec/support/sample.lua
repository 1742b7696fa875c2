--- A small policy to be changed by tests, and what check says of the change.
local sandbox = require "sandbox"

local sample = {}

sample.text = [[
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, route, action = require "journey", require "route", require "action"
local all, any, none, go = signal.all, signal.any, signal.none, journey.go
local f = signal.features "b2b@4"

policy "t" {
  owner = "a@example.com", rationale = "A test.", boundary = "Nothing.",
  models = { fit = "b2b_fit", engagement = "b2b_engagement" },
  team = "people",
  eligible = none { f.email_domain:in_list "free", f.is_employee },
}
belief.channel "web" { reliability = 0.8, at_most = 30 }
belief.channel "product" { at_most = 40 }
belief.evidence "pricing" { when = f.pricing_views_7d:at_least(3), points = 25, half_life = "7d", channel = "web", why = "W." }
belief.evidence "quiet" { when = f.idle:at_least("10d"), points = -15, channel = "web", why = "W." }
belief.evidence "team" { when = f.invites_30d:at_least(2), points = 44, channel = "product", why = "W." }
belief.gate "two" { when = belief.channels:at_least(2), why = "W." }
score.combined { 0.3 * score.fit + 0.7 * score.engagement + 2 }
score.adjust "demo" { when = f.demo_requested_30d, points = 8, why = "W." }
score.bands { { "cold", 0 }, { "hot", 50 } }
journey.start "visitor"
journey.stage "visitor" {
  go "mql" { when = any { belief.intent:at_least(20), f.is_known }, why = "W." },
}
journey.stage "mql" {
  go "won" { on = "crm.opportunity_won", why = "W." },
  go "visitor" { when = all { belief.intent:under(10), none { belief.passed "two", f.is_known } }, why = "W." },
  go "lost" { after = "30d", why = "W." },
}
journey.final "won"
journey.final "lost"
route.on_enter "mql"
route.to "emea" { when = f.region:is "emea", pick = "weighted", why = "W." }
route.otherwise "rest" { pick = "weighted", why = "W." }
action.limits { per_lead = "1 in 3d", hold_out = "5% salt 2026q4" }
action.offer "call" { stages = { "mql" }, when = f.region:is_known(), utility = 1.2 * belief.intent - 4, why = "W." }
action.otherwise "wait" { utility = 5, why = "W." }
]]

sample.files = {
  ["policies/t/data/free.csv"] = "domain\ngmail.com\ngmx.de\n",
  ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\nbob,emea,3\ncleo,rest,1\n",
}

--- `text` with its first plain `from` made into `to`.
function sample.replace(text, from, to)
  local first, last = text:find(from, 1, true)
  assert(first, "the sample has no: " .. from)
  return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

--- Builds the sample with each plain text of `changes` replaced by another, and with files put in place of its own.
function sample.build(changes, files)
  local text = sample.text
  for from, to in pairs(changes or {}) do
    text = sample.replace(text, from, to)
  end
  local texts = { ["policies/t/policy.lua"] = text }
  for _, set in ipairs { sample.files, files or {} } do
    for path, content in pairs(set) do
      texts[path] = content
    end
  end
  return sandbox.build(".", "t", texts)
end

--- Builds a policy of whole text `source` with the sample's data files.
function sample.build_text(source, files)
  local texts = { ["policies/t/policy.lua"] = source }
  for _, set in ipairs { sample.files, files or {} } do
    for path, content in pairs(set) do
      texts[path] = content
    end
  end
  return sandbox.build(".", "t", texts)
end

--- Problems as lines: "policy.lua:12: text", warnings with "warning: ".
function sample.lines(artifact)
  local lines = {}
  for i, problem in ipairs(artifact.problems) do
    local path = problem.path:gsub("^policies/t/", "")
    lines[i] = ("%s:%d: %s%s"):format(path, problem.line, problem.error and "" or "warning: ", problem.text)
  end
  return lines
end

return sample
