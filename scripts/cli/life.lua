--- Specs as lives: `describe` and `it` as busted has them, and a lead that does things, one after the other:
---
---   describe("the price list", function()
---     it("makes a lead at the third look", function()
---       lead():views("pricing", 2):expect_stage("visitor"):wait("1d"):views("pricing"):expect_stage("lead")
---     end)
---   end)
---
--- Nothing is decided while this runs: what a lead does is written down, event by event, on a clock of its own; whoever
--- runs the spec (core/cli/test.c) decides, and asks this module once more what the decisions fall short of. So an
--- expectation can't be a condition of the spec's own Lua. docs/policy-guide.md has the words.
local explain = require "explain"
local numbers = require "numbers"
local spec = require "spec"
local times = require "times"

local life = {}

local START = "2026-01-05T09:00:00Z" -- a Monday
local EVERY_MS = 60000 -- between events of one verb
local LEADS_MAX, STEPS_MAX, REPEATS_MAX = 16, 20000, 10000

local known_words = {} -- expect_WORD for each word of `expect` in specs of tables
for _, word in ipairs(spec { words = true }) do
  known_words[word] = true
end

local suite -- of the file at hand
local scene -- of the case at hand

local function place()
  local path, line = host.here(1)
  return path or "?", line or 0
end

-- An error of the spec's author: it names the author's line.
local function fail(text, ...)
  local path, line = place()
  error(("%s:%d: %s"):format(path, line, select("#", ...) > 0 and text:format(...) or text), 0)
end

local function hint(word, names)
  local near = type(word) == "string" and host.suggest(word, names)
  return near and ("; did you mean '" .. near .. "'?") or ""
end

local function duration_of(text, what)
  local ms = numbers.duration_ms(text)
  if not ms then fail('%s takes a duration such as "2d 4h", not %s', what, tostring(text)) end
  return ms
end

local function time_of(text)
  local ms = type(text) == "string" and text:find "^%d%d%d%d%-%d%d%-%d%d" and times.parse(text, "rfc3339")
  if not ms then fail('a time is a text such as "%s", not %s', START, tostring(text)) end
  return ms
end

-- ---- a lead, and what it does ----

local Lead = {}

-- Appends a step: {at_ms, event or nil, account, lead, entry}. A verb behind an expectation begins a new entry.
local function add_step(self, event, account)
  if #scene.steps >= STEPS_MAX then fail("at most %d events in a case", STEPS_MAX) end
  if self.has_expected then
    self.has_expected, self.entry = false, self.entry + 1
  end
  scene.steps[#scene.steps + 1] =
    { at_ms = self.now, event = event, account = account, lead = self.number, entry = self.entry }
  self.last = #scene.steps
end

local NOT_OF_EVENT = { times = true, every = true, account = true }
local EVENT_KEYS = { "type", "event", "name", "userId", "anonymousId", "groupId", "previousId", "messageId", "properties",
  "traits", "context", "channel", "account", "times", "every", "timestamp" }
local IS_EVENT_KEY = {}
for _, key in ipairs(EVENT_KEYS) do
  IS_EVENT_KEY[key] = true
end

-- "Pricing View" is a slip of the pen when the signal set knows "Pricing Viewed".
local function check_event(name)
  if not suite.events then return end
  for _, known in ipairs(suite.events) do
    if known == name then return end
  end
  local near = hint(name, suite.events)
  if near ~= "" then fail("no event '%s' in the signal set '%s'%s", tostring(name), suite.signals, near) end
end

local function repeats(more)
  local count = more.times or 1
  if type(count) ~= "number" or count < 1 or count > REPEATS_MAX or count ~= math.floor(count) then
    fail("times is a whole number from 1 to %d", REPEATS_MAX)
  end
  return count, more.every and duration_of(more.every, "every") or EVERY_MS
end

-- A table without empty ones in it: Lua knows no empty map from an empty list, and neither says anything.
local function without_empty(x)
  if type(x) ~= "table" then return x end
  local out, is_empty = {}, true
  for key, member in pairs(x) do
    out[key] = without_empty(member)
    is_empty = is_empty and out[key] == nil
  end
  return not is_empty and out or nil
end

-- Sends `fixed` with what `more` adds, as often as `more` says. `more`: a number of times, or keys of an event.
local function send(self, fixed, more)
  if type(more) == "number" then more = { times = more } end
  if more ~= nil and type(more) ~= "table" then fail("a number of times or a table such as { channel = \"web\" } is wanted") end
  more = more or {}
  for key in pairs(more) do
    if not IS_EVENT_KEY[key] then fail("no key '%s' of an event%s", tostring(key), hint(key, EVENT_KEYS)) end
  end
  local count, every = repeats(more)
  self.user, self.anonymous = more.userId or fixed.userId or self.user, more.anonymousId or self.anonymous
  for i = 1, count do
    if i > 1 then self.now = self.now + every end
    local event = { timestamp = self.now, userId = self.user, anonymousId = self.anonymous, channel = self.channel }
    for _, keys in ipairs { more, fixed } do
      for key, member in pairs(keys) do
        if not NOT_OF_EVENT[key] then event[key] = member end
      end
    end
    add_step(self, without_empty(event), self.account_said)
    self.account_said = nil
  end
  return self
end

--- An event by its name. `more`: how often, or { channel, properties, times, every = "1m", … }.
function Lead:track(name, more)
  check_event(name)
  return send(self, { type = "track", event = name }, more)
end

function Lead:page(name, more) return send(self, { type = "page", name = name }, more) end
function Lead:screen(name, more) return send(self, { type = "screen", name = name }, more) end

--- Says who it is: traits. A lead that had no name until now gets `more.userId`, else "lead".
function Lead:identify(traits, more)
  local user = type(more) == "table" and more.userId or self.user or "lead"
  return send(self, { type = "identify", traits = traits or {}, userId = user }, more)
end

function Lead:group(group, traits, more)
  return send(self, { type = "group", groupId = group, traits = traits or {} }, more)
end

function Lead:alias(user, more)
  return send(self, { type = "alias", previousId = self.user or self.anonymous, userId = user }, more)
end

--- Looks at something: the signal set's event "… Viewed" of that name, or a page where it has none.
function Lead:views(what, count, every)
  local wanted = tostring(what):lower():gsub("[_%-]", " ") .. " viewed"
  for _, name in ipairs(suite.events or {}) do
    if name:lower() == wanted then
      return send(self, { type = "track", event = name }, { times = count, every = every })
    end
  end
  return send(self, { type = "page", name = what }, { times = count, every = every })
end

--- An event as a table, for what the verbs do not say.
function Lead:event(event)
  if type(event) ~= "table" then fail "event takes a table, such as { type = \"track\", event = \"…\" }" end
  return send(self, { type = event.type or (event.event and "track") }, event)
end

--- Lets time pass; timers that are due fire.
function Lead:wait(duration)
  self.now = self.now + duration_of(duration, "wait")
  if self.last then add_step(self, nil, nil) end
  return self
end

--- The same up to a time.
function Lead:at(text)
  local ms = time_of(text)
  if self.last and ms < self.now then fail("%s lies before what this lead did last", text) end
  self.now = ms
  if self.last then add_step(self, nil, nil) end
  return self
end

--- What features of its account say from its next event on: { account_demo_ago = "2h" }.
function Lead:account(values)
  for name, said in pairs(type(values) == "table" and values or fail "account takes a table") do
    if type(said) ~= "number" and type(said) ~= "string" then
      fail("account: '%s' is a number, a duration or a text", tostring(name))
    end
  end
  self.account_said = values
  return self
end

-- ---- what is expected ----

local function expect(self, key, wanted)
  if not self.last then fail("expect_%s: nothing has happened yet, so nothing was decided", key) end
  local path, line = place()
  scene.steps[self.last].ask = true
  self.has_expected = true
  scene.expected[#scene.expected + 1] = { step = self.last, key = key, wanted = wanted, path = path, line = line }
  return self
end

--- Any words of specs of tables: expect { stage = "mql", min_intent = 45 }.
function Lead:expect(words)
  if type(words) ~= "table" then fail 'expect takes a table, such as { stage = "mql" }' end
  for key, wanted in pairs(words) do
    if not known_words[key] then fail("expect knows no '%s'%s", tostring(key), hint(key, spec { words = true })) end
    expect(self, key, wanted)
  end
  return self
end

local function one_or_list(key)
  return function(self, wanted)
    if wanted == nil then fail("expect_%s: what is expected?", key) end
    return expect(self, type(wanted) == "table" and key .. "_in" or key, wanted)
  end
end

Lead.expect_owner, Lead.expect_action = one_or_list "owner", one_or_list "action"
function Lead:expect_no_owner() return expect(self, "owner", "none") end
function Lead:expect_eligible() return expect(self, "eligible", true) end

--- Left out; `by`: the condition that it failed.
function Lead:expect_not_eligible(by)
  expect(self, "eligible", false)
  return by and expect(self, "ineligible", by) or self
end

--- Transitions since the last expectation: expect_transitions { "visitor -> engaged" }.
function Lead:expect_transitions(list)
  if type(list) ~= "table" then fail 'expect_transitions takes a list such as { "visitor -> engaged" }' end
  return expect(self, "transitions", list)
end

local BOUNDS = { at_least = true, at_most = true }
for _, key in ipairs { "combined", "fit", "engagement", "intent" } do
  --- expect_intent(45): to a tenth of a point; expect_intent { at_least = 40, at_most = 50 }.
  Lead["expect_" .. key] = function(self, wanted)
    if type(wanted) == "number" then
      expect(self, "min_" .. key, wanted - 0.05)
      return expect(self, "max_" .. key, wanted + 0.05)
    end
    if type(wanted) ~= "table" then fail("expect_%s takes a number, or { at_least = 40, at_most = 50 }", key) end
    for bound, number in pairs(wanted) do
      if not BOUNDS[bound] or type(number) ~= "number" then
        fail("expect_%s: at_least and at_most with a number, not '%s'", key, tostring(bound))
      end
    end
    if wanted.at_least then expect(self, "min_" .. key, wanted.at_least) end
    return wanted.at_most and expect(self, "max_" .. key, wanted.at_most) or self
  end
end

--- A rule by its name: evidence in force, an adjustment, a transition, a route that chose.
function Lead:expect_fired(name) return expect(self, "fired", name) end
function Lead:expect_not_fired(name) return expect(self, "not_fired", name) end
--- What a feature is now; nil: not known.
function Lead:expect_feature(name, wanted) return expect(self, "feature", { name = name, value = wanted }) end
--- A transition's timer runs, due in so long from now (when it is said).
function Lead:expect_timer(name, after)
  return expect(self, "timer", { name = name, after = after and duration_of(after, "expect_timer") })
end

for word in pairs(known_words) do
  local method = "expect_" .. word
  if not Lead[method] then Lead[method] = function(self, wanted) return expect(self, word, wanted) end end
end

local verbs = {}
for name in pairs(Lead) do
  verbs[#verbs + 1] = name
end
table.sort(verbs)

-- Fields of a lead that may be absent.
local OPTIONAL = { user = true, anonymous = true, channel = true, account_said = true, last = true, has_expected = true }
local lead_meta = {
  __index = function(_, key)
    if Lead[key] then return Lead[key] end
    if OPTIONAL[key] then return nil end
    fail("a lead has no '%s'%s", tostring(key), hint(key, verbs))
  end,
  __metatable = false,
}

-- ---- the words of a spec ----

local LEAD_KEYS = { "userId", "anonymousId", "at", "channel", "hold_out", "explore" }

--- A new lead: lead(), lead { userId, anonymousId, at = "2026-01-05T09:00:00Z", channel = "web", hold_out = true, explore = true }.
local function lead(about)
  if not scene then fail "a lead lives within it(…)" end
  about = about or {}
  for key in pairs(about) do
    local known = false
    for _, name in ipairs(LEAD_KEYS) do
      known = known or name == key
    end
    if not known then fail("lead: no key '%s'%s", tostring(key), hint(key, LEAD_KEYS)) end
  end
  if scene.leads >= LEADS_MAX then fail("at most %d leads in a case", LEADS_MAX) end
  scene.leads = scene.leads + 1
  if about.hold_out then scene.hold_out = true end
  if about.explore then scene.explore = true end
  return setmetatable({
    number = scene.leads,
    entry = 1,
    now = time_of(about.at or START),
    user = about.userId or not about.anonymousId and "lead" or nil,
    anonymous = about.anonymousId,
    channel = about.channel,
  }, lead_meta)
end

--- A lead that has done what a file of events says (`intent lead ID --fixture FILE` writes one): a line of JSON each,
--- beside the spec or in a folder there.
local function fixture(file)
  if type(file) ~= "string" then fail 'fixture takes the name of a file, such as "fixtures/maria.jsonl"' end
  local found = suite.fixtures[file]
  if not found then
    suite.wants[file] = true
    error({ wants = file }, 0)
  end
  if found.error then fail("fixture '%s': %s", file, found.error) end
  local self = lead()
  for i, event in ipairs(found.events) do
    local at = event.timestamp
    if type(at) == "string" then at = times.parse(at, "rfc3339") end
    if type(at) ~= "number" then fail("fixture '%s': event %d has no timestamp", file, i) end
    self.now = (i == 1 or at > self.now) and at or self.now
    self.user, self.anonymous = event.userId or self.user, event.anonymousId or self.anonymous
    add_step(self, without_empty(event), nil)
  end
  return self
end

local function describe(name, run)
  if scene then fail "describe stands outside of it(…)" end
  if type(name) ~= "string" or type(run) ~= "function" then fail 'describe("what", function() … end)' end
  local outer = suite.group
  suite.group = { outer = outer, name = (outer and outer.name .. " " or "") .. name }
  run()
  suite.group = outer
end

--- Runs before each case of this describe, and of those inside it.
local function before_each(run)
  if not suite.group then fail "before_each stands within describe(…)" end
  if type(run) ~= "function" then fail "before_each(function() … end)" end
  suite.group.before = suite.group.before or {}
  suite.group.before[#suite.group.before + 1] = run
end

local function add_case(name, run, is_pending)
  if scene then fail "it stands outside of another it(…)" end
  if type(name) ~= "string" then fail 'it("does what", function() … end)' end
  local path, line = place()
  local group = suite.group
  suite.list[#suite.list + 1] =
    { name = (group and group.name .. " " or "") .. name, run = run, group = group, path = path, line = line, pending = is_pending }
end

local function it(name, run)
  if run ~= nil and type(run) ~= "function" then fail 'it("does what", function() … end)' end
  add_case(name, run, run == nil)
end

local function pending(name) add_case(name, nil, true) end

--- What a spec file may say without asking for it, in the order in which they are handed to it (core/cli/test.c).
function life.words() return describe, it, pending, before_each, lead, fixture end

-- ---- running ----

local function run_before(group)
  if not group then return end
  run_before(group.outer)
  for _, run in ipairs(group.before or {}) do
    run()
  end
end

-- Writes down what a case does: the scene, or nil and what is wrong with it.
local function play(case)
  scene = { steps = {}, expected = {}, leads = 0 }
  local ran, raised = pcall(function()
    run_before(case.group)
    case.run()
  end)
  local played = scene
  scene = nil
  if not ran then
    if type(raised) == "table" then return nil, nil end -- a fixture that is not here yet
    return nil, tostring(raised)
  end
  if #played.expected == 0 then return nil, ("%s:%d: expects nothing, so it can't fail"):format(case.path, case.line) end
  return played
end

local OWN = {}
function OWN.fired(name, got)
  return explain.no_rule(name) or explain.has_reason(got.decision, name) or ("'%s' did not fire"):format(tostring(name))
end
function OWN.not_fired(name, got)
  return explain.no_rule(name) or not explain.has_reason(got.decision, name) or ("'%s' fired"):format(tostring(name))
end
function OWN.feature(wanted, got)
  local wrong = explain.no_feature(wanted.name)
  if wrong then return wrong end
  local value = got.lead.features[wanted.name]
  return value == wanted.value
    or ("%s is %s, not %s"):format(wanted.name, explain.show(value), explain.show(wanted.value))
end
function OWN.timer(wanted, got)
  local names = {}
  for _, timer in ipairs(got.lead.timers) do
    names[#names + 1] = timer.transition
    if timer.transition == wanted.name then
      local left = timer.due - got.at_ms
      return not wanted.after or left == wanted.after
        or ("the timer of %s is due in %s, not in %s"):format(
          wanted.name, numbers.show_duration(left), numbers.show_duration(wanted.after))
    end
  end
  return ("no timer '%s' runs, but %s"):format(tostring(wanted.name), #names > 0 and table.concat(names, ", ") or "none at all")
end

local function judge(input, expected, got)
  local where = ("line %d"):format(expected.line)
  local own = OWN[expected.key]
  local failures = {}
  if own then
    explain.load(input)
    local text = own(expected.wanted, got)
    if text ~= true then failures[1] = { where = where, text = text } end
  else
    failures = spec { expect = { [expected.key] = expected.wanted }, outcome = got, where = where }
  end
  for _, failure in ipairs(failures) do
    failure.because = explain.lines(input, expected.key, expected.wanted, got)
  end
  return failures
end

--- Begins a spec file. about: {signals, events, fixtures = {file = {events} or {error}}}.
function life.begin(about)
  suite = { list = {}, wants = {}, fixtures = about.fixtures or {}, signals = about.signals, events = about.events }
end

function life.has_cases() return #suite.list > 0 end

--- The cases of the file: {cases = {{name, line, pending, broken, hold_out, entries, steps}…}, wants = {files}}.
function life.cases()
  local cases = {}
  for i, case in ipairs(suite.list) do
    local out = { name = case.name, line = case.line, pending = case.pending or false, steps = {}, hold_out = false, explore = false }
    if not case.pending then
      local played, why = play(case)
      if played then
        out.steps, out.hold_out, out.explore = played.steps, played.hold_out or false, played.explore or false
      else
        out.broken = why
      end
    end
    cases[i] = out
  end
  local wants = {}
  for file in pairs(suite.wants) do
    wants[#wants + 1] = file
  end
  return { problems = {}, cases = cases, wants = wants }
end

--- What the outcomes of a case's steps fall short of: {failures = {{where, text, because = {lines}}…}}.
function life.judge(input, number, outcomes)
  local played = play(suite.list[number])
  local failures = {}
  for _, expected in ipairs(played.expected) do
    for _, failure in ipairs(judge(input, expected, outcomes[expected.step])) do
      failures[#failures + 1] = failure
    end
  end
  return { failures = failures }
end

return life
