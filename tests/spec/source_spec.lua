--- The language of sources: what each combinator gives, what is refused and why, and what `check` says of a source.
local sandbox = require "sandbox"

local ROOT = os.getenv "INTENTD_ROOT" or "."
local PATH = "policies/signals/b2b/sources/try.lua"

local function library()
  local modules = {}
  for _, name in ipairs(sandbox.listing(ROOT .. "/scripts")) do
    if name:find "%.lua$" then
      local path = "scripts/" .. name
      modules[name:sub(1, -5)] = { path = path, text = sandbox.read(ROOT .. "/" .. path), is_library = true }
    end
  end
  return modules
end

-- A source of this text, opened as core/policy/sources.c does: what `call` gives for payloads.
local function open(text)
  local modules = library()
  modules["signals.b2b.sources.try"] = { path = PATH, text = text }
  return sandbox.loader(modules)("mapping") {
    sources = { { name = "try", module = "signals.b2b.sources.try", path = PATH } },
  }
end

local function run(text, payload, more)
  local request = { source = "try", payloads = { payload }, digests = { "0d" }, events_max = 1000 }
  for key, value in pairs(more or {}) do
    request[key] = value
  end
  return open(text).call(request)
end

local HEAD = 'local s = require "source"\nreturn s.source "try" { owner = "o", rationale = "r", userId = "u", messageId = "m",\n'

-- The value that an expression has in properties.x, or nil and the reason.
local function value(expression, payload)
  local text = HEAD .. ('rules = { s.rule "all" { event = "E", properties = { x = %s } } } }'):format(expression)
  local out = run(text, payload)
  if out.refused[1] then return nil, out.refused[1][3] end
  local properties = out.events[1][2].properties
  return properties and properties.x
end

local function holds(condition, payload)
  local rules = ('rules = { s.rule "yes" { when = %s, event = "yes" }, s.rule "no" { event = "no" } } }'):format(condition)
  return run(HEAD .. rules, payload).events[1][2].event == "yes"
end

describe("a source's combinators", function()
  local ADA = { email = " Ada@X.example ", empty = "", blank = " \t\n", n = 5, list = { { a = 1 }, { a = 2 } }, deep = { er = { x = "y" } },
    ["dotted.key"] = "whole", yes = true, no = false }

  -- {expression, value} or {expression, nil, part of the reason}
  local CASES = {
    { 's.pick "n"', 5 }, { 's.pick "deep.er.x"', "y" }, { 's.pick "list.2.a"', 2 }, { 's.pick "nothing.at.all"', nil },
    { 's.pick "n.further"', nil }, { 's.pick "dotted.key"', "whole" }, { 's.pick "no"', false },
    { '"as it is"', "as it is" }, { "s.const(7)", 7 }, { "true", true },
    { 's.first { "gone", "empty", "n" }', 5 }, { 's.first { "gone" }', nil }, { 's.first { "no", "n" }', false },
    { 's.first { "blank", "n" }', 5 }, { 's.need "blank"', nil, "'blank' is missing" }, { 's.given(s.has "blank", 1)', nil },
    { 's.text "email"', "Ada@X.example" }, { 's.text "empty"', nil }, { 's.text "n"', "5" },
    { 's.text "list"', nil, "'list' is a list or an object, not a text" },
    { 's.text "yes"', nil, "'yes' is true or false" },
    { 's.lower "email"', "ada@x.example" }, { 's.domain "email"', "x.example" }, { 's.domain "n"', nil },
    { 's.map("n", { ["5"] = "five" })', "five" }, { 's.map("n", { ["6"] = "six" })', nil },
    { 's.map("n", { ["6"] = "six" }, "other")', "other" }, { 's.map("gone", { a = "b" }, "other")', nil },
    { 's.map("yes", { ["true"] = 1 }, 0)', 1 },
    { 's.template "{n}-{deep.er.x}"', "5-y" }, { 's.template "{n}-{gone}"', nil }, { 's.template "plain"', "plain" },
    { 's.join({ "deep.er.x", "gone", "n" }, " / ")', "y / 5" }, { 's.join({ "gone", "empty" }, " ")', nil },
    { 's.given({ n = 5 }, "so")', "so" }, { 's.given({ n = 6 }, "so")', nil },
    { 's.given(s.has "empty", "so")', nil },
    { 's.need "n"', 5 }, { 's.need "empty"', nil, "'empty' is missing" },
    { 's.need(s.lower "gone")', nil, "lower('gone') is missing" },
    { 's.number "n"', 5 }, { 's.number "email"', nil, "'email' is no number" }, { 's.maybe(s.number "email")', nil },
    { 's.divide("n", 2)', 2.5 }, { 's.divide("gone", 2)', nil },
    { 's.epoch_s "n"', 5000 }, { 's.epoch_ms "n"', 5 },
    { 's.epoch_s(s.const(1e15))', nil, "lies outside of the years" },
    { 's.custom("sum", { why = "w" }, function(p) return p.n + #p.list end)', 7 },
    { 's.custom("odd", { why = "w" }, function(p) error("no way", 0) end)', nil, "custom 'odd': no way" },
    { 's.custom("odd", { why = "w" }, function(p) return p.x.y end)', nil, "custom 'odd': " },
    { 's.custom("odd", { why = "w" }, function(p) return tostring end)', nil, "gives a function, which is no data" },
    { 's.custom("odd", { why = "w" }, function(p) local t = {} t.t = t return t end)', nil, "more than an event can hold" },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local got, why = value(case[1], ADA)
      assert.same(case[2], got, why)
      if case[3] then
        assert.is_truthy(why and why:find(case[3], 1, true), tostring(why))
      else
        assert.is_nil(why)
      end
    end)
  end

  it("reads numbers as people write them, and nothing else", function()
    for text, expected in pairs {
      ["12"] = 12, ["-3.5"] = -3.5, ["+7"] = 7, [" 1,234 "] = 1234, ["1,234,567.25"] = 1234567.25, ["1 000"] = 1000,
      ["1'000"] = 1000, [".5"] = 0.5, ["5."] = 5, ["1e3"] = 1000, ["2.5E-1"] = 0.25,
    } do
      assert.equal(expected, value('s.number "x"', { x = text }), text)
    end
    for text, expected in pairs {
      ["12,5"] = 12.5, ["1.234,50"] = 1234.5, ["1.234.567"] = 1234567, ["1 234,5"] = 1234.5, ["-0,25"] = -0.25,
    } do
      assert.equal(expected, value('s.number("x", "comma")', { x = text }), text)
    end
    for _, text in ipairs { "1,23", "12,34,567", "0x10", "nan", "inf", "1e999", "1.2.3", "--1", "1 2", "5kg", ".", "1,2345", "e5" } do
      local got, why = value('s.number "x"', { x = text })
      assert.is_nil(got, text)
      assert.is_truthy(why, text)
    end
    for _, text in ipairs { "1.23", "1,2,3", "1.2345" } do
      assert.is_truthy(select(2, value('s.number("x", "comma")', { x = text })), text)
    end
  end)

  it("reads names as people write them", function()
    for text, parts in pairs {
      ["Ada Lovelace"] = { "Ada", "Lovelace" }, ["Lovelace, Ada King"] = { "Ada King", "Lovelace" },
      ["Grace Brewster Hopper"] = { "Grace Brewster", "Hopper" }, ["Cher"] = { "Cher", nil }, ["  "] = {},
      ["O'Neil,Tip"] = { "Tip", "O'Neil" },
    } do
      assert.equal(parts[1], value('s.first_name "x"', { x = text }), text)
      assert.equal(parts[2], value('s.last_name "x"', { x = text }), text)
    end
  end)

  it("asks of a payload what conditions say", function()
    for condition, expected in pairs {
      ["{ n = 5 }"] = true, ["{ n = 6 }"] = false, ["{ n = { 6, 5 } }"] = true, ['{ n = "5" }'] = false,
      ['{ n = 5, ["deep.er.x"] = "y" }'] = true, ['{ n = 5, ["deep.er.x"] = "z" }'] = false,
      ["{ no = false }"] = true, ["{ gone = false }"] = false,
      ['s.is("n", 1, 5)'] = true, ['s.has "n"'] = true, ['s.has "empty"'] = false, ['s.has "gone"'] = false,
      ['s.has "no"'] = true, ['s.starts("email", " Ada")'] = true, ['s.starts("n", "5")'] = false,
      ['s.all { { n = 5 }, s.has "deep" }'] = true, ['s.all { { n = 5 }, s.has "gone" }'] = false,
      ['s.any { { n = 6 }, s.has "deep" }'] = true, ['s.any { { n = 6 }, s.has "gone" }'] = false,
      ['s.none { { n = 6 }, s.has "gone" }'] = true, ['s.none { { n = 5 } }'] = false,
      ['s.is(s.lower "email", "ada@x.example")'] = true,
    } do
      assert.equal(expected, holds(condition, ADA), condition)
    end
  end)
end)

describe("a source's times", function()
  local function time(format, text, zone)
    return value(('s.time("x", %q%s)'):format(format, zone and (", %q"):format(zone) or ""), { x = text })
  end

  it("are read in every form that is named", function()
    assert.equal(1767603600000, time("rfc3339", "2026-01-05T09:00:00Z"))
    assert.equal(1767603600250, time("rfc3339", "2026-01-05 10:00:00.250+0100"))
    assert.equal(1767603600000, time("rfc3339", "2026-01-05T09:00:00.000+00:00"))
    assert.equal(1767571200000, time("rfc3339", "2026-01-05"))
    assert.equal(1767603600000, time("rfc3339", "2026-01-05T10:00", "+01:00"))
    assert.equal(1767603600000, time("day_first", "05.01.2026 10:00", "+01:00"))
    assert.equal(1767571200000, time("day_first", "5/1/2026"))
    assert.equal(1767654000000, time("month_first", "1/5/2026 11:00 PM"))
    assert.equal(1767571500000, time("month_first", "01-05-2026 12:05:00 am"))
    assert.is_nil(time("rfc3339", "  "))
  end)

  it("are refused when there is no such day, hour or zone", function()
    for _, case in ipairs {
      { "rfc3339", "2026-02-29" }, { "rfc3339", "2026-13-01" }, { "rfc3339", "0000-01-01" }, { "rfc3339", "2026-01-05T24:00Z" },
      { "rfc3339", "2026-01-05T09:60Z" }, { "rfc3339", "2026-01-05T09:00:61Z" }, { "rfc3339", "2026-01-05T09:00+25:00" },
      { "rfc3339", "yesterday" }, { "rfc3339", "2026-01-05x" }, { "day_first", "2026-01-05" }, { "day_first", "31.04.2026" },
      { "month_first", "13/01/2026" }, { "month_first", "1/5/2026 13:00 PM" }, { "month_first", "1/5/26" },
    } do
      local got, why = time(case[1], case[2])
      assert.is_nil(got, case[2])
      assert.is_truthy(why and why:find("is no time of the form " .. case[1], 1, true), case[2])
      assert.is_nil(why:find(case[2], 1, true), "the reason shows what the payload says")
    end
  end)

  -- The oracle is the C library's calendar.
  it("agree with the calendar of the C library", function()
    local seed = tonumber(os.getenv "SEED") or os.time()
    math.randomseed(seed)
    for _ = 1, 300 do
      local t = math.random(0, 4102444800)
      local text = os.date("!%Y-%m-%dT%H:%M:%SZ", t)
      assert.equal(t * 1000, time("rfc3339", text), ("SEED=%d %s"):format(seed, text))
      assert.equal(t * 1000, time("day_first", os.date("!%d.%m.%Y %H:%M:%S", t)), ("SEED=%d"):format(seed))
      assert.equal(t * 1000, time("month_first", os.date("!%m/%d/%Y %I:%M:%S %p", t)), ("SEED=%d"):format(seed))
    end
  end)
end)

describe("a source's events", function()
  local function events(rules, payload)
    return run('local s = require "source"\nreturn s.source "try" { owner = "o", rationale = "r", ' .. rules .. " }", payload)
  end

  it("have what rules say over what the source says", function()
    local out = events('userId = s.pick "u", channel = "a", messageId = s.pick "id", rules = { s.rule "r" { event = "E", channel = "b" } }',
      { u = 7, id = "x" })
    assert.same({ { 0, { type = "track", event = "E", userId = "7", channel = "b", messageId = "try-x", context = { source = "try" } } } },
      out.events)
  end)

  it("take their id from the payload, else from its digest", function()
    local out = events('userId = "u", rules = { s.rule "r" { events = { { event = "A" }, { event = "B" } } } }', { id = 1 })
    assert.equal("try-0d-1", out.events[1][2].messageId)
    assert.equal("try-0d-2", out.events[2][2].messageId)
  end)

  it("are of each element of a list, and read source-wide parts from the payload", function()
    local out = events([[userId = s.pick "who", timestamp = s.epoch_s "at", messageId = s.pick "id",
      rules = { s.rule "r" { each = "items", event = s.pick "kind", properties = { n = s.pick "n", of = s.whole "id" } } }]],
      { who = "u", at = 5, id = "p", items = { { kind = "A", n = 1 }, { n = 2 }, { kind = "C", n = 3 } } })
    assert.equal(2, #out.events)
    assert.same({ n = 3, of = "p" }, out.events[2][2].properties)
    assert.equal(5000, out.events[2][2].timestamp)
    assert.equal("try-p-1", out.events[1][2].messageId)
    assert.equal("try-p-3", out.events[2][2].messageId) -- its place, whatever became of the one before
    assert.same({ { 0, "r", "the event has no name: 'kind' is missing", { "u" } } }, out.refused)
  end)

  it("of each element keep the element's own id", function()
    local out = events('userId = "u", rules = { s.rule "r" { each = "items", event = "E", messageId = s.pick "id" } }',
      { items = { { id = "a" }, {} } })
    assert.equal("try-a", out.events[1][2].messageId)
    assert.equal("try-0d-2", out.events[2][2].messageId)
  end)

  it("are none for an empty list, and refused for what is no list", function()
    local rules = 'userId = "u", messageId = "m", rules = { s.rule "r" { each = "items", event = "E" } }'
    assert.same({ { 0, "r", "an empty list" } }, events(rules, { items = {} }).skipped)
    assert.is_truthy(events(rules, { items = { a = 1 } }).refused[1][3]:find("is no list", 1, true))
    assert.is_truthy(events(rules, {}).refused[1][3]:find("is no list", 1, true))
  end)

  it("are refused for what they lack, by where it was looked for", function()
    local function reason(rules, payload) return events(rules, payload).refused[1][3] end
    assert.equal("nothing stands where it should say who it is: userId (first of 'a', 'b')",
      reason('userId = s.first { "a", "b" }, messageId = "m", rules = { s.rule "r" { event = "E" } }', {}))
    assert.equal("properties: 'p' is no object",
      reason('userId = "u", messageId = "m", rules = { s.rule "r" { event = "E", properties = s.pick "p" } }', { p = { 1, 2 } }))
    assert.equal("timestamp: 't' is no time",
      reason('userId = "u", messageId = "m", timestamp = s.pick "t", rules = { s.rule "r" { event = "E" } }', { t = true }))
    assert.equal("no rule is for it; the rules look at 'kind'",
      reason('userId = "u", messageId = "m", rules = { s.rule "r" { when = { kind = "x" }, event = "E" } }', { kind = "secret" }))
    assert.equal("a payload is an object, or a list of them",
      reason('userId = "u", messageId = "m", rules = { s.rule "r" { event = "E" } }', 5))
  end)

  it("leave out what is nothing", function()
    local out = events('userId = "u", messageId = "m", rules = { s.rule "r" { event = "E", properties = { a = s.pick "a" }, traits = s.pick "t" } }',
      { t = {} })
    assert.is_nil(out.events[1][2].properties)
    assert.is_nil(out.events[1][2].traits)
  end)

  it("are bounded in number", function()
    local text = HEAD .. 'rules = { s.rule "r" { each = "l", event = "E" } } }'
    local out = run(text, { l = { 1, 2, 3, 4 } }, { events_max = 3 })
    assert.equal(3, #out.events)
    assert.is_truthy(out.refused[1][3]:find("more than 3 events", 1, true))
  end)

  it("that are refused are told, but not without end", function()
    local list = {}
    for i = 1, 50 do list[i] = i end
    local out = run(HEAD .. 'rules = { s.rule "r" { each = "l", event = s.pick "kind" } } }', { l = list }, { events_max = 5 })
    assert.equal(5, #out.refused)
    assert.is_truthy(out.refused[5][3]:find("more pieces are refused than an answer tells", 1, true))
  end)

  -- Else a payload behind such a list would be neither told nor kept.
  it("are told of each payload that is refused, whatever came before", function()
    local list, payloads = {}, {}
    for i = 1, 50 do list[i] = i end
    for i = 1, 8 do payloads[i] = i == 1 and { l = list } or { l = 1 } end
    local out = run(HEAD .. 'rules = { s.rule "r" { each = "l", event = s.pick "kind" } } }', nil,
      { payloads = payloads, digests = {}, events_max = 5 })
    local seen = {}
    for _, entry in ipairs(out.refused) do seen[entry[1]] = true end
    assert.equal(12, #out.refused)
    for i = 0, 7 do assert.is_true(seen[i]) end
  end)

  it("are refused with all that the payload is about", function()
    local file = 'local s = require "source" return s.source "try" { owner = "o", rationale = "r", messageId = s.pick "id",' ..
      'rules = { s.rule "r" { each = "l", userId = s.template "x-{id}", anonymousId = s.pick "a", event = s.pick "kind" } } }'
    local out = run(file, nil, { digests = {}, payloads = { { id = 9, l = {
      { id = 1, kind = "k" }, { id = 2, a = " dev " }, { id = 3, kind = "k" }, { id = 2 }, { kind = {} } } }, { id = 7, l = { { id = 7 } } } } })
    local who = {}
    for i, entry in ipairs(out.refused) do who[i] = { entry[1], entry[4] } end
    assert.same({ { 0, { "x-1", "x-2", "dev", "x-3" } }, { 0, {} }, { 0, {} }, { 1, { "x-7" } } }, who)
  end)

  it("take long texts of nothing in one go", function()
    local spaces = (" "):rep(300000)
    local out = run(HEAD .. 'rules = { s.rule "r" { event = s.text "kind" } } }', { kind = spaces .. "a" .. spaces .. "b" .. spaces })
    assert.equal("a" .. spaces .. "b", out.events[1][2].event)
    out = run(HEAD .. 'rules = { s.rule "r" { event = s.text "kind" } } }', { kind = spaces })
    assert.equal(1, #out.refused)
  end)

  it("are the same for the same payload, whatever came before", function()
    local source = open(HEAD .. [[rules = { s.rule "r" { event = "E", properties = {
      x = s.custom("c", { why = "w" }, function(p) p.n = (p.n or 0) + 1 return p.n end) } } } }]])
    local function ask() return source.call { source = "try", payloads = { { n = 1 } }, digests = { "0d" }, events_max = 9 } end
    local first = ask()
    for _ = 1, 3 do assert.same(first, ask()) end
  end)
end)

describe("check", function()
  -- The problems that a source of the shipped set gives, as "LINE: text".
  local function problems(text, more)
    local texts = { [PATH] = text }
    for path, changed in pairs(more or {}) do
      texts[path] = changed
    end
    local out = {}
    for _, problem in ipairs(sandbox.build(ROOT, "b2b_saas", texts).problems) do
      if problem.path == PATH then
        out[#out + 1] = ("%d: %s%s"):format(problem.line, problem.error and "" or "warning: ", problem.text)
      end
    end
    return table.concat(out, "\n")
  end
  local function says(part, text)
    local got = problems(text)
    assert.is_truthy(got:find(part, 1, true), ("'%s' does not say '%s'"):format(got, part))
  end
  local function body(text) return HEAD .. text .. "\n}" end

  it("finds nothing in what is shipped", function()
    assert.equal("", problems(body 'rules = { s.rule "r" { event = "Trial Started" } }'))
  end)

  it("names the line of what is wrong", function()
    says("3: pick: 'a..b' is no path", body 'rules = { s.rule "r" { event = s.pick "a..b" } }')
    says("3: pick: 'a.0': lists count from 1", body 'rules = { s.rule "r" { event = s.pick "a.0" } }')
    says("3: rule 'r': no key 'evnt'; did you mean 'event'?", body 'rules = { s.rule "r" { evnt = "E", event = "E" } }')
    says("3: time: no format 'rfc339'; did you mean 'rfc3339'?", body 'timestamp = s.time("t", "rfc339"), rules = { s.rule "r" { event = "E" } }')
    says("3: rule 'b' is never reached: 'a' before it has no when", body 'rules = { s.rule "a" { event = "E" }, s.rule "b" { event = "E" } }')
    says("3: rule 'a' is declared twice", body 'rules = { s.rule "a" { when = { x = 1 }, event = "E" }, s.rule "a" { event = "E" } }')
    says("3: rule 'r': a track needs an event: its name", body 'rules = { s.rule "r" { } }')
    says("3: rule 'r': an alias needs a previousId", body 'rules = { s.rule "r" { type = "alias" } }')
    says("3: rule 'r': type is one of track", body 'rules = { s.rule "r" { type = "tarck", event = "E" } }')
    says("3: skip 's' has no why", body 'rules = { s.skip "s" { } }')
    says("3: skip 's': it makes no event", body 'rules = { s.skip "s" { why = "w", event = "E" } }')
    says("3: rule 'r': events is a list", body 'rules = { s.rule "r" { events = {} } }')
    says("sign: no scheme 'strip'; did you mean 'stripe'?", body 'sign = "strip", rules = { s.rule "r" { event = "E" } }')
    says("sign: no key 'heder'", body 'sign = { scheme = "hmac", heder = "X" }, rules = { s.rule "r" { event = "E" } }')
    says("has no rules", body "rules = {}")
    says("custom 'c' has no why", body 'rules = { s.rule "r" { event = s.custom("c", {}, function() end) } }')
    says("keeps state between calls", 'local n = 0\n' .. body [[
      rules = { s.rule "r" { event = s.custom("c", { why = "w" }, function() n = n + 1 return n end) } }]])
    says("lies in the file of 'try'", (body('rules = { s.rule "r" { event = "E" } }'):gsub('"try"', '"tried"')))
    says("it must return s.source", "return {}")
    says("source has no 'pik'; did you mean 'pick'?", body 'rules = { s.rule "r" { event = s.pik "a" } }')
  end)

  it("warns of what may go wrong", function()
    says("warning: rule 'r' sends 'Trial Startd', which is not among the events of signals.lua; did you mean 'Trial Started'?",
      body 'rules = { s.rule "r" { event = "Trial Startd" } }')
    says("warning: rule 'r' sends traits.address, which is not in the list personal",
      body 'rules = { s.rule "r" { type = "identify", traits = { address = s.pick "a" } } }')
    says("warning: rule 'r': no messageId", (body('rules = { s.rule "r" { event = "Trial Started" } }'):gsub(' messageId = "m",', "")))
  end)
end)
