--- The tool `intent` as a person uses it, against a daemon where it needs one: what it prints, and its exit code.
local harness = require "harness"
local lfs = require "lfs"

local intent = harness.bin .. "/intent"

local function absolute(path) return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path end
local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Runs `intent` with these words; `input`: its standard input. Returns what it printed, its exit code, and
--- what it said on standard error.
local function run(words, input)
  local folder = harness.folder()
  local line = { quote(intent) }
  for _, word in ipairs(words) do line[#line + 1] = quote(tostring(word)) end
  harness.write(folder .. "/in", input or "")
  local pipe = io.popen(("%s <%s/in >%s/out 2>%s/err; echo $?"):format(table.concat(line, " "), folder, folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code, harness.read(folder .. "/err")
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no %q in:\n%s"):format(part, text), 2) end
end

local function lacks(text, part)
  if text:find(part, 1, true) then error(("%q in:\n%s"):format(part, text), 2) end
end

local MARIA = [[
{"type":"identify","userId":"a@acme.example","messageId":"1","timestamp":"2026-01-05T09:00:00Z","traits":@}
{"event":"Pricing Viewed","userId":"a@acme.example","messageId":"2","timestamp":"2026-01-05T10:00:00Z","channel":"web"}
{"event":"Demo Requested","userId":"a@acme.example","messageId":"3","timestamp":"2026-01-07T11:00:00Z","channel":"web"}
]]
local TRAITS = '{"email":"a@acme.example","employees":420,"industry":"Software","region":"amer",' ..
  '"tier":"mid","seniority":"manager"}'
MARIA = MARIA:gsub("@}", function() return TRAITS .. "}" end)

describe("intent", function()
  after_each(harness.finish)

  local function start(options)
    options = options or {}
    options.clock = options.clock or "event"
    options.seed = options.seed or harness.SEED -- the same ids in every run: nobody is in the hold-out by chance
    local daemon = harness.start(options)
    return daemon, "127.0.0.1:" .. daemon.ports.listen
  end

  it("helps, and says what is wrong with a command line", function()
    local out, code = run { "--help" }
    assert.are.equal(0, code)
    local pages = {}
    for _, page in ipairs { "README.md", "docs/feature-store.md", "docs/features.md", "docs/journal.md", "docs/models.md", "docs/operations.md",
      "docs/protocol.md", "docs/sources.md", "docs/tutorial.md" } do pages[#pages + 1] = harness.read(harness.root .. "/" .. page) end
    local docs, names = table.concat(pages), 0
    for name, words in out:gmatch "\n  intent (%l+) ?([%l|]*)" do
      names = names + 1
      local help, ok = run { name, "--help" }
      assert.are.equal(0, ok)
      has(help, "intent " .. name)
      has(help, "--json")
      assert.is_truthy(docs:find("intent " .. name, 1, true), "no page tells of intent " .. name)
      for word in words:find("|", 1, true) and words:gmatch "%l+" or function() end do
        local told = docs:find("intent " .. name .. " " .. word, 1, true) or docs:find("| `" .. word .. " ", 1, true)
        assert.is_truthy(told, "no page tells of intent " .. name .. " " .. word)
      end
    end
    assert.is_true(names >= 19)
    local _, unknown, why = run { "explian" }
    assert.are.equal(2, unknown)
    has(why, "did you mean explain?")
    assert.are.equal(2, select(2, run {}))
  end)

  it("says when no daemon is there", function()
    for _, words in ipairs { { "lead", "x" }, { "explain", "x" }, { "tail" }, { "policy", "status" }, { "send" } } do
      words[#words + 1], words[#words + 2] = "--to", "127.0.0.1:1"
      local _, code, why = run(words)
      assert.are.equal(3, code)
      has(why, "no daemon at 127.0.0.1:1")
    end
    local _, code, why = run { "policy", "reload", "--data", "/nowhere" }
    assert.are.equal(3, code)
    has(why, "/nowhere/intentd.sock")
  end)

  it("sends lines, shows the lead and explains the decision", function()
    local _, to = start()
    local out, code = run({ "send", "--to", to }, MARIA)
    assert.are.equal(0, code)
    assert.is_truthy(out:match "decided%s+3\n")
    local lead, found = run { "lead", "a@acme.example", "--to", to }
    assert.are.equal(0, found)
    assert.is_truthy(lead:match "stage%s+sql since 2026%-01%-07 11:00:00Z")
    assert.is_truthy(lead:match "company_size%s+420")
    local why, explained = run { "explain", "a@acme.example", "--to", to }
    assert.are.equal(0, explained)
    has(why, "engaged -> sql")
    has(why, "Asked for us: no need to guess.")
    has(why, "reproduced: yes")
    -- As a person would tell it, the rules beside, and all conditions.
    has(why:gsub("\n", " "), "After 'Demo Requested', a@acme.example moved from engaged to sql because demo_requested_30d is 1; is_known is 1: "
      .. '"Asked for us: no need to guess". The score is ')
    has(why:gsub("\n", " "), 'What is done: call, worth ')
    assert.is_truthy(why:match "what nearly happened %(how much is missing%)\n +%d+ %%  %l+ ")
    lacks(why, "rules (fired")
    local every = run { "explain", "a@acme.example", "--trace", "--all", "--to", to }
    assert.is_truthy(every:match "yes%s+demo_requested_30d%s+policies/b2b_saas/policy.lua:%d+")
    assert.is_truthy(every:match "no%s+pricing_views_7d at least 3")
    assert.is_truthy(every:match "\n  yes  transition  engaged %-> sql +policies/b2b_saas/policy.lua:%d+ +%d+ ns  demo_requested_30d is 1; is_known is 1\n")
    assert.is_truthy(every:match "\n  %-    transition  engaged %-> mql +policies/b2b_saas/policy.lua:%d+ +%d+ ns  an earlier transition was taken\n")
    assert.is_truthy(every:match "a call as decisions make it takes %d+ ns; one by one its rules take %d+ ns\n")
    -- The rows that are shown add up to the figure that is shown.
    local sum, total = 0, nil
    for points, what in why:match("\nscore\n(.-)\n\n"):gmatch " *(%-?%d+%.%d%d%d)  (%S+)" do
      if what == "=" then total = tonumber(points) else sum = sum + tonumber(points) end
    end
    assert.is_true(math.abs(sum - total) < 1e-6)
    lacks(why, "but the decision says")
    local json = run { "explain", "a@acme.example", "--json", "--to", to }
    has(json, '"reproduced":true')
    has(json, '"trace":[{"kind":"evidence","name":"pricing_again"')
    -- What was worth more than what was done, and why it was not.
    lacks(why, "worth more than")
    run({ "send", "--to", to }, '{"userId":"a@acme.example","type":"page","name":"Home","timestamp":"2026-01-07T12:00:00Z"}\n')
    why = run { "explain", "a@acme.example", "--to", to }
    assert.is_truthy(why:match "held back%s+per_lead\n")
    has(why:gsub("\n", " "), "Nothing is done ('wait'): enough was done lately; else it would be call, worth ")
    assert.is_truthy(why:match "worth more than wait %(5%.000%), and why not\n +%d+%.%d+  call  per_lead\n")
    has(why, "reproduced: yes")
  end)

  it("counts what is refused, by reason, with the first line", function()
    local _, to = start()
    local out, code = run({ "send", "--to", to }, MARIA .. '\n{"event":"who?"}\n{broken\n{"event":"who?"}\n')
    assert.are.equal(1, code)
    assert.is_truthy(out:match "decided%s+3\n")
    assert.is_truthy(out:match "invalid_event%s+2%s+first at line 5: ")
    assert.is_truthy(out:match "invalid_json%s+1%s+first at line 6: JSON, column ")
    local json = run({ "send", "--json", "--to", to }, '{"event":"who?"}\n')
    has(json, '"code":"invalid_event"')
    has(json, '"refused":1')
  end)

  it("gives lines of a file ids, so that sending it again changes nothing", function()
    local _, to = start()
    local file = harness.folder() .. "/events.jsonl"
    harness.write(file, (MARIA:gsub('"messageId":"%d",', "")))
    for _, again in ipairs { 0, 3 } do
      local out, code = run { "send", file, "--to", to }
      assert.are.equal(0, code)
      assert.are.equal(again, tonumber(out:match "duplicates%s+(%d+)"))
    end
    local lead = run { "lead", "a@acme.example", "--to", to }
    has(lead, "3 decisions")
    local out = run { "send", file, "--again", "--to", to }
    assert.is_truthy(out:match "duplicates%s+0\n")
    -- Through a pipe the same text is new events each time.
    for _ = 1, 2 do
      local piped = run({ "send", "--to", to }, '{"event":"Docs Viewed","userId":"kim"}\n')
      assert.is_truthy(piped:match "duplicates%s+0\n")
    end
  end)

  it("shows no event's control characters", function()
    local _, to = start()
    run({ "send", "--to", to }, '{"type":"page","userId":"eve\\u001b[2J","name":"\\u001b]0;pwned\\u0007"}\n')
    for _, words in ipairs { { "explain", "eve\27[2J", "--all" }, { "lead", "eve\27[2J" } } do
      words[#words + 1], words[#words + 2] = "--to", to
      local out, code = run(words)
      assert.are.equal(0, code)
      lacks(out, "\27")
      lacks(out, "\7")
    end
  end)

  it("says who is not there", function()
    local _, to = start()
    for _, words in ipairs { { "lead", "nobody" }, { "explain", "nobody" }, { "tail", "--lead", "nobody" } } do
      words[#words + 1], words[#words + 2] = "--to", to
      local _, code, why = run(words)
      assert.are.equal(1, code)
      has(why, "nobody")
    end
  end)

  it("tails decisions, one line each", function()
    local daemon, to = start()
    local folder = harness.folder()
    os.execute(("%s tail --changed --count 2 --to %s >%s/tail 2>&1 &"):format(quote(intent), to, folder))
    harness.wait("the subscription", function() return daemon:metric "intentd_subscribers" > 0 end)
    run({ "send", "--to", to }, MARIA)
    local text
    harness.wait("two decisions", function()
      text = harness.read(folder .. "/tail")
      return select(2, text:gsub("\n", "\n")) >= 2
    end)
    has(text, "visitor -> engaged")
    has(text, "engaged -> sql")
    assert.are.equal(2, select(2, text:gsub("\n", "\n")))
  end)

  it("sends again what a daemon that went away had not answered", function()
    local daemon, to = start { listen = "127.0.0.1:0" }
    local port = daemon.ports.listen
    local folder = harness.folder()
    local file = folder .. "/events.jsonl"
    local lines = {}
    for i = 1, 60000 do
      lines[i] = ('{"event":"Docs Viewed","userId":"u%d","messageId":"m%d","timestamp":%d}'):format(i % 50, i,
        1767571200000 + i)
    end
    harness.write(file, table.concat(lines, "\n") .. "\n")
    os.execute(("(cd %s; %s send events.jsonl --to %s >out 2>err; echo $? >code.new; mv code.new code) &")
      :format(folder, quote(absolute(intent)), to))
    harness.wait("some decisions", function() return daemon:metric "intentd_events_total" > 2000 end)
    daemon:kill()
    daemon:restart { listen = "127.0.0.1:" .. port }
    local code
    harness.wait("the end of sending", function()
      code = tonumber(harness.read(folder .. "/code") or "")
      return code
    end)
    assert.are.equal("0", tostring(code), harness.read(folder .. "/err"))
    assert.is_truthy(harness.read(folder .. "/out"):match "decided%s+60,000\n")
    local client, total = daemon:connect(), 0
    for i = 0, 49 do total = total + client:must("lead.get", "u" .. i).lead.decisions end
    assert.are.equal(60000, total) -- each event once, although many were sent twice
  end)

  describe("import", function()
    local MAP = [[
      local s = require "source"
      return s.source "map" {
        owner = "o", rationale = "r", userId = s.pick "who", timestamp = s.pick "at", messageId = s.pick "id",
        rules = {
          s.skip "skipped" { when = { what = "skip" }, why = "nobody asked" },
          s.rule "two" { when = { what = "two" }, events = {
            { event = s.pick "what", properties = { none = s.pick "none" } }, { type = "page", name = "Docs" } } },
          s.rule "one" { when = s.has "what", event = s.pick "what" },
        },
      }]]
    local ROWS = "id,who,what,at\r\n" ..
      '1,b,"Docs\nViewed",2026-01-03T00:00:00Z\r\n' ..
      "2,a,Pricing Viewed,2026-01-01T00:00:00Z\r\n" ..
      "3,a,skip,2026-01-01T00:00:00Z\r\n" ..
      "4,a,two,2026-01-02T00:00:00Z\r\n"

    local function files(rows, map)
      local folder = harness.folder()
      harness.write(folder .. "/rows.csv", rows or ROWS)
      harness.write(folder .. "/map.lua", map or MAP)
      return folder .. "/rows.csv", folder .. "/map.lua"
    end

    it("maps rows to none, one or several events, in order of their time", function()
      local csv, map = files()
      local out, code, why = run { "import", "--source", map, "--sort", "timestamp", "--dry-run", csv }
      assert.are.equal(0, code, why)
      local names = {}
      for line in out:gmatch "[^\n]+" do
        lacks(line, "properties") -- {} says nothing
        names[#names + 1] = line:match '"event":"(.-)"' or line:match '"name":"(.-)"'
      end
      assert.are.same({ "Pricing Viewed", "two", "Docs", "Docs\\nViewed" }, names)
      has(why, "1 of 4 payloads skipped")
    end)

    it("sends them, once", function()
      local _, to = start()
      local csv, map = files()
      for _, again in ipairs { 0, 4 } do
        local out, code = run { "import", "--source", map, "--sort", "timestamp", "--to", to, csv }
        assert.are.equal(0, code)
        assert.is_truthy(out:match "decided%s+4\n")
        assert.are.equal(again, tonumber(out:match "duplicates%s+(%d+)"))
      end
    end)

    it("reads JSON lines, lists and several files as it reads CSV", function()
      local csv, map = files()
      local expected = run { "import", "--source", map, "--dry-run", csv }
      local folder = csv:match "^(.*)/"
      harness.write(folder .. "/a.jsonl", '{"id":"1","who":"b","what":"Docs\\nViewed","at":"2026-01-03T00:00:00Z"}\n')
      harness.write(folder .. "/b.json", [[ [
        { "id": "2", "who": "a", "what": "Pricing Viewed", "at": "2026-01-01T00:00:00Z" },
        { "id": "3", "who": "a", "what": "skip", "at": null },
        { "id": "4", "who": "a", "what": "two", "at": "2026-01-02T00:00:00Z" }
      ] ]])
      local out, code, why = run { "import", "--source", map, "--dry-run", folder .. "/a.jsonl", folder .. "/b.json" }
      assert.are.equal(0, code, why)
      assert.are.equal(expected, out)
    end)

    it("will not take history for today", function()
      local _, to = start { clock = "wall" }
      local csv, map = files()
      local _, code, why = run { "import", "--source", map, "--to", to, csv }
      assert.are.equal(1, code)
      has(why, "--clock event")
      assert.are.equal(0, select(2, run { "import", "--source", map, "--any-clock", "--to", to, csv }))
    end)

    it("says without a daemon what would be refused, and takes the rest", function()
      local csv, map = files("id,who,what,at\n1,a,x,2026-01-01\n2,a,x,yesterday\n3,,x,2026-01-01\n4,a,,2026-01-01\n")
      local rejects = csv .. ".rejects"
      local out, code, why = run { "import", "--source", map, "--dry-run", "--rejects", rejects, csv }
      assert.are.equal(1, code)
      assert.are.equal(2, select(2, out:gsub("\n", "")))
      has(why, "rows.csv:3: would be refused: timestamp is")
      has(why, "rows.csv:4: refused: rule 'one': nothing stands where it should say who it is: userId ('who')")
      has(why, "rows.csv:5: refused: no rule is for it; the rules look at 'what'")
      has(why, "2 pieces of 4 payloads can't be used")
      has(why, "1 of 2 events would be refused")
      local kept = harness.read(rejects)
      has(kept, '"line":4,"rule":"one","why":"nothing stands')
      has(kept, '"payload":{"id":"4","who":"a","what":"","at":"2026-01-01"}')
    end)

    it("names the file and line of whatever is wrong", function()
      local function fails(expected_code, part, rows, map)
        local csv, path = files(rows, map)
        local _, code, why = run { "import", "--source", path, "--dry-run", csv }
        has(why, part)
        assert.are.equal(expected_code, code)
      end
      local function with(event) return (MAP:gsub('event = s.pick "what" }', function() return event .. " }" end)) end
      fails(1, "rows.csv:3: refused: 3 fields", "id,who,what,at\n1,a,x,2026-01-01\n2,a,x\n")
      fails(2, "a quote is opened and never closed", "id,who,what,at\n1,\"a,x\n")
      fails(2, "two columns are called", "id,who,id\n")
      fails(2, "is empty", "")
      fails(2, "has no column 'what', which the mapping reads; it has 'waht'", "id,who,waht,at\n1,a,x,2026-01-01\n")
      fails(2, "map.lua:8: pick takes a path", nil, with "event = s.pick(5)")
      fails(2, "map.lua:8: unknown name os", nil, with "event = os.time()")
      fails(2, "map.lua", nil, "return function(")
      fails(2, "it must return s.source", nil, "return {}")
      fails(1, "rows.csv:2: refused: rule 'one': custom 'c': ", nil,
        with 'event = s.custom("c", { why = "w" }, function(row) return row.nothing.here end)')
      fails(1, "stopped after", nil, with 'event = s.custom("c", { why = "w" }, function() while true do end end)')
      local csv = files()
      local _, code, why = run { "import", "--source", "stripee", "--dry-run", csv }
      has(why, "no source 'stripee'; did you mean 'stripe'?")
      assert.are.equal(2, code)
    end)
  end)

  describe("source", function()
    local FIXTURES = harness.root .. "/policies/signals/b2b/sources/fixtures/"

    it("lists what there is", function()
      local out, code = run { "source", "list", "--policies", harness.root .. "/policies" }
      assert.are.equal(0, code)
      has(out, "b2b/hubspot\n")
      has(out, "loans/bank\n")
      lacks(out, "spec")
    end)

    it("shows what one does", function()
      local out, code = run { "source", "show", "stripe", "--policies", harness.root .. "/policies" }
      assert.are.equal(0, code)
      has(out, "Stripe-Signature")
      has(out, "rule  invoice paid\n      when          'type' is \"invoice.paid\"")
      has(out, "skip  test mode")
    end)

    it("tries a file, and says what would not be sent and why", function()
      local out, code, why = run { "source", "try", "b2b/product_log", FIXTURES .. "product_log.jsonl" }
      assert.are.equal(1, code)
      assert.are.equal(5, select(2, out:gsub("\n", "")))
      has(why, "product_log.jsonl:3: skipped by rule 'colleagues': Our own people are no leads.")
      has(why, "product_log.jsonl:6: refused by rule 'action': nothing stands where it should say who it is")
      has(why, "8 payloads: 5 events, 2 skipped, 2 refused; nothing was sent")
      assert.are.equal(0, select(2, run { "source", "try", "stripe", FIXTURES .. "stripe_checkout.json" }))
    end)

    it("has specs that intent test runs", function()
      for _, set in ipairs { "b2b", "loans" } do
        local out, code = run { "test", harness.root .. "/policies/signals/" .. set }
        assert.are.equal(0, code, out)
        assert.is_truthy(out:find "passed, 0 failed")
      end
      local out, code = run { "test", harness.root .. "/policies/signals/b2b", "--only", "checkout" }
      assert.are.equal(0, code)
      has(out, "1 passed, 0 failed")
    end)

    -- What the page says is what happens.
    it("does what docs/sources.md shows", function()
      local page = harness.read(harness.root .. "/docs/sources.md")
      local order = page:match "```json\n(.-)```"
      local source = page:match "```lua\n(.-)```":gsub("\n   ", "\n")
      local spec = page:match "`shop_spec.lua`.-```lua\n(.-)```":gsub("\n   ", "\n")
      local expected = page:match "intent source try shop order.json\n.-```json\n%s*(.-)\n"
      local policies = harness.policies {
        ["signals/b2b/sources/shop.lua"] = source, ["signals/b2b/sources/shop_spec.lua"] = spec, ["../order.json"] = order }
      local out, code, why = run { "source", "try", "shop", policies .. "/../order.json", "--policies", policies }
      assert.are.equal(0, code, why)
      assert.are.equal(expected .. "\n", out)
      assert.are.equal(0, select(2, run { "test", policies .. "/signals/b2b" }))
      local found, status = run { "check", policies .. "/b2b_saas" }
      assert.are.equal(0, status)
      lacks(found, "shop.lua")
      local combinators = harness.read(harness.root .. "/scripts/source.lua")
      for name in combinators:gmatch "\nfunction source%.([%l_]+)" do
        if not name:find "^is_" and name ~= "condition" then has(page, "s." .. name) end
      end
    end)

    it("says where a spec falls short", function()
      local policies = harness.policies()
      local spec = policies .. "/signals/b2b/sources/stripe_spec.lua"
      harness.edit(spec, "amount = 29,", "amount = 30,")
      local out, code = run { "test", policies .. "/signals/b2b", "--only", "an invoice is paid" }
      assert.are.equal(1, code)
      has(out, "not ok  an invoice is paid")
      has(out, "event 1: properties is { amount = 29,")
      local all, of_policy = run { "test", policies .. "/b2b_saas", "--only", "an invoice is paid" }
      assert.are.equal(1, of_policy)
      has(all, "not ok  an invoice is paid")
      has(all, "signals b2b, sources: 0 passed, 1 failed")
      local json, as_json = run { "test", policies .. "/b2b_saas", "--only", "an invoice is paid", "--json" }
      assert.are.equal(1, as_json)
      has(json, '"signals":"b2b"')
      lacks(run { "test", policies .. "/b2b_saas", "--only", "hold-out" }, "signals b2b")
      assert.are.equal(1, select(2, run { "test", policies .. "/b2b_saas", "--only", "no such case" }))
      assert.are.equal(1, select(2, run { "test", policies .. "/signals/b2b", "--only", "no such case" }))
      harness.edit(spec, "file = ", "fiel = ")
      local _, of_all, said = run { "test", policies .. "/b2b_saas" }
      assert.are.equal(1, of_all)
      has(said, "no key 'fiel'; did you mean 'file'?")
      local _, broken, why = run { "test", policies .. "/signals/b2b" }
      assert.are.equal(1, broken)
      has(why, "no key 'fiel'; did you mean 'file'?")
    end)
  end)

  it("simulates the same journeys from the same seed, and knows who buys", function()
    local truth = harness.folder() .. "/truth.csv"
    local words = { "simulate", "--leads", 60, "--days", 60, "--seed", "t", "--truth", truth }
    local first, code = run(words)
    assert.are.equal(0, code)
    assert.are.equal(first, (run(words)))
    assert.are_not.equal(first, (run { "simulate", "--leads", 60, "--days", 60, "--seed", "u" }))
    local last, users = 0, {}
    for line in first:gmatch "[^\n]+" do
      local time = tonumber(line:match '"timestamp":(%d+)')
      assert.is_true(time >= last)
      last = time
      users[line:match '"userId":"(.-)"' or line:match '"anonymousId":"(.-)"'] = true
    end
    local people, buyers = 0, 0
    for user, buys in harness.read(truth):gmatch "\n([^,\n]+),([01])," do
      assert.is_true(users[user], user)
      people, buyers = people + 1, buyers + tonumber(buys)
    end
    assert.are.equal(60, people)
    assert.is_true(buyers > 0 and buyers < 40)
    local _, to = start()
    local out, sent = run { "simulate", "--leads", 60, "--days", 60, "--seed", "t", "--send", "--to", to }
    assert.are.equal(0, sent)
    assert.is_truthy(out:match "refused%s+0\n")
  end)

  describe("check and test", function()
    it("find nothing wrong with the shipped policies", function()
      for _, name in ipairs { "b2b_saas", "consumer_loans", "ecommerce" } do
        local out, code = run { "check", harness.root .. "/policies/" .. name }
        assert.are.equal(0, code)
        has(out, name .. ": ok, version ")
        local spec, passed = run { "test", harness.root .. "/policies/" .. name }
        assert.are.equal(0, passed)
        has(spec, " 0 failed\n")
        if name ~= "ecommerce" then has(spec, name == "b2b_saas" and "signals b2b, sources: " or "signals loans, sources: ") end
        lacks(spec, "not ok")
      end
    end)

    it("name file and line of every fault", function()
      local policies = harness.policies()
      harness.edit(policies .. "/b2b_saas/policy.lua", "f.docs_views_30d:at_least(5)", "f.docs_view_30d:at_least(5)")
      local out, code = run { "check", policies .. "/b2b_saas" }
      assert.are.equal(1, code)
      assert.is_truthy(out:match(policies:gsub("%p", "%%%0") .. "/b2b_saas/policy.lua:%d+: error: "))
      has(out, "docs_views_30d")
      local json = run { "check", policies .. "/b2b_saas", "--json" }
      has(json, '"severity":"error"')
      has(json, '"ok":false')
      assert.are.equal(1, select(2, run { "test", policies .. "/b2b_saas" }))
      assert.are.equal(1, select(2, run { "check", policies .. "/signals" }))
      assert.are.equal(2, select(2, run { "check", policies .. "/nothing_here" }))
    end)

    it("say what is wrong with a signal set before what rules make of it, and judge a set alone", function()
      local policies = harness.policies()
      local set = policies .. "/signals/b2b"
      local out, code = run { "check", set }
      assert.are.equal(0, code)
      assert.is_truthy(out:match "^b2b@4: ok, %d+ features, %d+ schema versions\n$")
      harness.edit(set .. "/features/account.lua", 'roll = "latest"', 'roll = "lastest"')
      local first = run({ "check", policies .. "/b2b_saas" }):match "[^\n]*"
      has(first, set .. "/features/account.lua:4: error: features: account_demo_ago: unknown roll")
      out, code = run { "check", set, "--json" }
      assert.are.equal(1, code)
      has(out, '"line":4')
      has(out, '{"signals":"b2b","version":null,"ok":false,"errors":1,"warnings":0}')
      harness.edit(set .. "/features/account.lua", 'roll = "lastest"', 'roll = "latest"')
      harness.edit(set .. "/features/account.lua", 'name = "account_roles"', 'name = "account_people"')
      has(run { "check", set }, "account.lua:9: error: feature 'account_people' is declared twice")
      harness.edit(set .. "/signals.lua", "  owner =", "  ownr =")
      has(run { "check", set }, "signals.lua:6: error: signal set 'b2b': no key 'ownr'; did you mean 'owner'?")
      harness.edit(set .. "/signals.lua", "  ownr =", "  events = nil +")
      out, code = run { "check", set }
      assert.are.equal(1, code)
      has(out, "signals.lua:6: error: ")
    end)

    it("hold a folder against what it was in git", function()
      local policies = harness.policies()
      local function git(command)
        assert(os.execute("cd '" .. policies .. "' && git -c user.name=Ann -c user.email=ann@example.com " .. command .. " >/dev/null"))
      end
      git "init -q ." git "add -A" git "commit -q -m first" git "tag before"
      local function check(what, rev) return run { "check", policies .. "/" .. what, "--against", rev } end
      local out, code = check("b2b_saas", "before")
      assert.are.equal(0, code)
      has(out, "; compared with before, ")
      has(out, " by Ann\n")
      -- A feature that means something else under the same number, and a model's version with other bytes.
      local features, model = policies .. "/signals/b2b/features/account.lua", policies .. "/models/b2b_fit/1/model.json"
      harness.edit(features, 'window = "7d"', 'window = "8d"')
      harness.edit(model, '"target":', ' "target":')
      git "commit -q -a -m second"
      out, code = check("b2b_saas", "before")
      assert.are.equal(1, code)
      has(out, features .. ":7: error: feature 'account_people_7d' means something else than in b2b@4 as it was at before, ")
      has(out, model .. ": error: is not what it was at before, ")
      assert.are.equal(0, select(2, check("b2b_saas", "HEAD")))
      out, code = check("signals/b2b", "before")
      assert.are.equal(1, code)
      lacks(out, "model.json")
      -- With the number raised it is another version; a schema's number is one for all time.
      harness.edit(policies .. "/signals/b2b/signals.lua", "version = 4", "version = 5")
      assert.are.equal(0, select(2, check("signals/b2b", "before")))
      harness.edit(policies .. "/signals/b2b/schemas/profile_v1.lua", "max_length = 320", "max_length = 30")
      out, code = check("signals/b2b", "before")
      assert.are.equal(1, code)
      has(out, "profile_v1.lua:4: error: schema profile@1: ")
      -- A stage that goes needs a word of where its leads are now.
      local policy = policies .. "/consumer_loans/policy.lua"
      local text = harness.read(policy)
      local stage = text:match 'journey%.stage "(%w+)"'
      harness.write(policy, (text:gsub('"' .. stage .. '"', '"elsewhere"')))
      out, code = check("consumer_loans", "HEAD")
      assert.are.equal(1, code)
      has(out, ("error: stage '%s' is gone, and leads may be in it as it was at HEAD, "):format(stage))
      harness.edit(policy, "journey.start", ('journey.was "%s" { now = "elsewhere", why = "W." }\njourney.start'):format(stage))
      assert.are.equal(0, select(2, check("consumer_loans", "HEAD")))
      -- What cannot be held against anything says so.
      assert.are.equal(2, select(2, check("signals/loans", "before~1")))
      git "mv signals/loans signals/credits"
      harness.edit(policies .. "/signals/credits/signals.lua", '"loans"', '"credits"')
      out, code = check("signals/credits", "before")
      assert.are.equal(0, code)
      has(out, "warning: not compared with before")
      local bare = harness.policies()
      local _, none, why = run { "check", bare .. "/b2b_saas", "--against", "main" }
      assert.are.equal(2, none)
      has(why, "lies in no git repository")
    end)

    it("say which expectation a decision falls short of", function()
      local policies = harness.policies()
      harness.edit(policies .. "/b2b_saas/policy_spec.lua", 'expect = { stage = "visitor"', 'expect = { stage = "mql"')
      local out, code = run { "test", policies .. "/b2b_saas" }
      assert.are.equal(1, code)
      has(out, "not ok  a single page view makes nobody a lead")
      has(out, "at the end: stage is 'visitor', not 'mql'")
      assert.is_truthy(out:match "%d+ passed, 1 failed")
      local only, ok = run { "test", policies .. "/b2b_saas", "--only", "hold-out" }
      assert.are.equal(0, ok)
      has(only, "1 passed, 0 failed")
      harness.write(policies .. "/b2b_saas/more_spec.lua", 'return { { name = "x", evnts = {} } }')
      local broken, failed = run { "test", policies .. "/b2b_saas", "--only", "hold-out" }
      assert.are.equal(1, failed)
      has(broken, "more_spec.lua")
    end)
  end)

  it("reloads a policy, or says why not", function()
    local policies = harness.policies()
    local daemon, to = start { policies = policies, watch = "no" }
    local out, code = run { "policy", "reload", "--data", daemon.data }
    assert.are.equal(0, code)
    has(out, "the files are those in force")
    harness.edit(policies .. "/b2b_saas/policy.lua", "points = 25, half_life", "points = 26, half_life")
    out, code = run { "policy", "reload", "--data", daemon.data }
    assert.are.equal(0, code)
    assert.is_truthy(out:match "^b2b_saas %x+ %-> %x+\n$")
    daemon:expect_errors "policy_problem"
    daemon:expect_errors "reload_failed"
    harness.edit(policies .. "/b2b_saas/policy.lua", "points = 26, half_life", "points = = 26, half_life")
    local _, failed, why = run { "policy", "reload", "--data", daemon.data }
    assert.are.equal(1, failed)
    assert.is_truthy(why:match "policies/b2b_saas/policy.lua:%d+: ")
    local status, still = run { "policy", "status", "--to", to }
    assert.are.equal(1, still)
    has(status, "last failure")
    assert.are.equal(2, select(2, run { "policy", "reload", "--to", to }))
  end)

  it("knows every command and option that the tutorial and the example pages show", function()
    local seen = 0
    for _, page in ipairs { "docs/tutorial.md", "examples/simulator/README.md" } do
      local text = harness.read(harness.root .. "/" .. page)
      for line in text:gmatch "\n(intent %l+ [^\n]*)" do
        local command = line:match "^intent (%l+)"
        local help, code = run { command, "--help" }
        assert.are.equal(0, code, line)
        for option in line:gsub("#.*", ""):gmatch "%-%-[%l-]+" do has(help, "  " .. option .. " ") end
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 12)
  end)

  it("tells in the tutorial what really happens", function()
    local tutorial = harness.read(harness.root .. "/docs/tutorial.md")
    local policies = harness.policies()
    local daemon, to = start { policies = policies, clock = "wall" }
    local folder = harness.folder()
    harness.write(folder .. "/events.jsonl", assert(tutorial:match "```json\n(.-)```"))
    local out = run { "send", "--verbose", "--to", to, folder .. "/events.jsonl" }
    has(out, "-1  28.4  visitor -> engaged  wait\n")
    assert.is_truthy(out:match "%-4  36%.1  engaged  %l+" )
    local why = run { "explain", "maria@acme.example", "--to", to }
    local shown = assert(tutorial:match "some rows left out%):\n```\n.-\n\n(.-)\n```")
    for line in shown:gmatch "[^\n]+" do has(why, line) end
    local from, into = tutorial:match "'s/(.-)/(.-)/' policies/b2b_saas/policy.lua"
    harness.edit(policies .. "/b2b_saas/policy.lua", from, into)
    local spec, code = run { "test", policies .. "/b2b_saas" }
    assert.are.equal(1, code)
    has(spec, tutorial:match "\n(not ok.-)\nb2b_saas")
    assert.is_truthy(spec:match "%d+ passed, 1 failed\n")
    local python = tutorial:match "```python\n(.-)```":gsub("7411", tostring(daemon.ports.listen))
    harness.write(folder .. "/snippet.py", python)
    if os.execute "/usr/bin/python3 -c 'import msgpack' >/dev/null 2>&1" == 0 then
      local pipe = io.popen("/usr/bin/python3 " .. folder .. "/snippet.py 2>&1")
      assert.are.equal("engaged\n", pipe:read "*a")
      pipe:close()
    end
  end)

  it("shares its words with the clients in examples/", function()
    local daemon = start()
    local folder = harness.folder()
    local function shell(line)
      local pipe = io.popen(("(%s) 2>&1; echo ' '$?"):format(line))
      local text = pipe:read "*a"
      pipe:close()
      return text:match "^(.*) (%d+)\n$"
    end
    harness.write(folder .. "/events.jsonl", MARIA)
    local clients = harness.root .. "/examples/clients"
    local function available(line) return os.execute(line .. " >/dev/null 2>&1") == 0 end
    local python = available "/usr/bin/python3 -c 'import msgpack'" and "/usr/bin/python3" or "python3"
    if available(python .. " -c 'import msgpack'") then
      local out, code = shell(("%s %s/python/send.py 127.0.0.1:%d <%s/events.jsonl"):format(python, clients,
        daemon.ports.listen, folder))
      assert.are.equal("0", code, out)
      has(out, "line 3: 55.3 points, stage sql, action call")
    else
      pending "python3-msgpack is not installed"
    end
    if available "node --version" then
      local out, code = shell(("node %s/node/send.mjs http://127.0.0.1:%d <%s/events.jsonl"):format(clients,
        daemon.ports.http, folder))
      assert.are.equal("0", code, out)
      has(out, "3 events sent, 0 refused")
    end
    local built = shell(("cc -o %s/send %s/c/send.c -lmsgpackc"):format(folder, clients))
    assert.are.equal("", built)
    local out, code = shell(("%s/send 127.0.0.1 %d"):format(folder, daemon.ports.listen))
    assert.are.equal("0", code, out)
    has(out, '"decision_id"')
  end)
end)
