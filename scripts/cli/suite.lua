--- The entry of `intent test`: runs a spec file, whichever way it is written: as a list of cases (scripts/spec.lua), or
--- with describe and it (scripts/cli/life.lua).
local life = require "life"
local spec = require "spec"

-- The events that the signal set names; nil: it names none.
local function events_of(set)
  local found, head = pcall(require, ("signals.%s.signals"):format(set or "?"))
  return found and type(head) == "table" and head.events or nil
end

--- ask: {spec, path, signals, fixtures} -> {problems, cases, wants}; {…, case = number, outcomes} -> {failures}. As
--- scripts/spec.lua and scripts/cli/life.lua say.
return function(input)
  local ask = input.ask
  life.begin { signals = ask.signals, events = events_of(ask.signals), fixtures = ask.fixtures }
  local returned = require(ask.spec)
  if not life.has_cases() then
    if type(returned) ~= "table" then
      local text = "the file returns a list of cases, or says describe(…) and it(…)"
      return { problems = { { path = ask.path, line = 0, error = true, text = text } } }
    end
    return spec(ask)
  end
  if type(returned) == "table" then
    local text = "a file either returns a list of cases or says it(…), not both"
    return { problems = { { path = ask.path, line = 0, error = true, text = text } } }
  end
  if ask.case then return life.judge(input, ask.case, ask.outcomes) end
  return life.cases()
end
