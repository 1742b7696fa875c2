--- What an import's mapping refuses goes to the daemon's quarantine, durable, once, and is treated there like payloads that
--- were refused at POST /v1/source/NAME; and who calls quarantine.add with anything else is told what is wrong.
local harness = require "harness"
local http = require "http"
local pack = require "pack"

describe("payloads that an import's mapping refuses", function()
  local daemon, client, policies, folder

  local function start(options)
    policies, folder = harness.policies(), harness.folder()
    local all = { policies = policies, watch = "no", clock = "event" }
    for name, value in pairs(options or {}) do all[name] = value end
    daemon = harness.start(all)
    client = daemon:connect()
  end
  local function run(command)
    local pipe = io.popen(("cd '%s' && '%s/intent' %s 2>&1"):format(folder, harness.bin, command))
    local out = pipe:read "*a"
    pipe:close()
    return out
  end
  local function import(file, more)
    return run(("import --any-clock --to 127.0.0.1:%d --policies '%s' %s '%s'"):format(daemon.ports.listen, policies,
      more or "--source product_log", file))
  end
  local function quarantine(words) return run(("quarantine %s --data '%s'"):format(words, daemon.data)) end
  local function ids(more)
    local found = {}
    for id in quarantine("list --json --all " .. (more or "")):gmatch '"id":"(%x+)"' do found[#found + 1] = id end
    return found
  end
  local function write(name, text)
    harness.write(folder .. "/" .. name, text)
    return name
  end
  local function decisions_of(who) return client:must("lead.get", who).lead.decisions end
  local function holds(text, part) assert.is_truthy(text:find(part, 1, true), text) end
  local function post(body) return http.request(daemon.ports.http, "POST", "/v1/source/product_log", body) end

  local LATE = '{"id":"b","time":"2026-01-04T09:00:00Z","kid":"kim","user":{"email":"kim@acme.example"},"action":"signup"}'
  local LINES = '{"id":"a","time":"2026-01-05T09:00:00Z","user_id":"kim","action":"x"}\n' .. LATE .. "\n" ..
    '{"id":"c","time":"gestern","user_id":"lea","action":"x"}\n'

  after_each(harness.finish)

  it("are kept once, with reason and place, however often it is run, and through a kill", function()
    start()
    local out = import(write("log.jsonl", LINES))
    holds(out, "3 pieces of 3 payloads can't be used")
    holds(out, "the quarantine keeps 2 of these payloads, 0 of them from before")
    assert.equal(2, daemon:metric "intentd_quarantined_total")
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    local found = ids()
    assert.equal(2, #found)
    local listed = quarantine "list --source product_log"
    holds(listed, "source product_log, rule 'action': 'time' is no time of the form rfc3339 (log.jsonl:3)")
    holds(listed, "(payload)")
    assert.same({ found[2] }, ids "--lead lea")
    holds(quarantine "show", "as it came (--personal")
    assert.is_nil(quarantine("show"):find "kim")
    holds(quarantine "show --personal", "kim@acme.example")
    for _ = 1, 2 do
      out = import(write("other.jsonl", LINES))
      holds(out, "the quarantine keeps 2 of these payloads, 2 of them from before")
      assert.same(found, ids())
    end
    assert.equal(1, decisions_of "kim")
    -- Another way that the same payload may come, and another payload.
    assert.equal(400, post(LATE).status)
    harness.wait("the quarantine", function() return #ids() == 3 end)
    out = import(write("more.jsonl", LINES .. '{"action":"x"}\n'))
    holds(out, "the quarantine keeps 3 of these payloads, 2 of them from before")
    assert.equal(4, #ids())
  end)

  it("are taken by a mended mapping, once, and not kept anew after that", function()
    start()
    import(write("log.jsonl", LINES))
    local found = ids()
    local log = policies .. "/signals/b2b/sources/product_log.lua"
    local broken = harness.read(log)
    harness.edit(log, '"user.id", "user_id" }', '"user.id", "user_id", "kid" }')
    assert.is_true(daemon:admin():must("policy.reload").changed)
    local out = quarantine "replay"
    holds(out, "1 taken, 0 decided before, 1 refused again")
    assert.equal(3, decisions_of "kim")
    import "log.jsonl" -- what was refused passes now, and is known
    assert.equal(3, decisions_of "kim")
    assert.same(found, ids())
    harness.write(log, broken)
    holds(import "log.jsonl", "the quarantine keeps 2 of these payloads, 2 of them from before")
    assert.same(found, ids())
    holds(quarantine("replay " .. found[1]), "was decided before")
    assert.equal(3, decisions_of "kim")
  end)

  it("can be mended one by one, and stay what they are", function()
    start()
    write("crm.csv", "Record ID,Last Modified,Name,Stage\n1,5.13.2026,Ada,Lead\n2,5.1.2026,Eve,Lead\n")
    import("crm.csv", "--source crm_export")
    local id = ids()[1]
    local function fix(words) return quarantine(("fix %s %s"):format(id, words)) end
    for words, why in pairs {
      ["--set 'payload.Last Modified=31.2.2026'"] = "is no time of the form day_first",
      ["--set payload.Status=Test"] = "it is passed over: They are no leads",
      ["--set source=stripe"] = "or of another source", ["--set source=hub --set who=[]"] = "or of another source",
      ["--set payload=5"] = "a payload is an object", ["--set payload=null"] = "a payload is an object",
      ["--set who=x"] = "type is missing", ["--unset payload"] = "type is missing", ["--set more=1"] = "type is missing", ["--set payload.Name.x=1"] = "no map",
      ["--set 'payload.Last Modified=1.1.0001'"] = "lies outside the years 0001 to 9999", ["--unset 'payload.Last Modified'"] = "is missing",
      ["--set 'payload.Last Modified=5.1.2026' --set 'payload.User ID=" .. ("u"):rep(600) .. "'"] = "event.id_bytes",
      ["--set 'payload.Last Modified=5.1.2026' --set 'payload.Name=" .. ("u"):rep(66000) .. "'"] = "bytes at most",
    } do
      holds(fix(words), why)
    end
    assert.equal(1, #ids "--code invalid_event")
    assert.is_nil(client:call("lead.get", "crm-1"))
    holds(fix "--set 'payload.Last Modified=5.1.2026' --set 'payload.Record ID=7'", "is fixed")
    holds(quarantine "list", "fixed")
    holds(quarantine "show", "as it came (--personal")
    assert.is_nil(quarantine("show"):find "Ada")
    holds(quarantine "replay", "1 taken, 0 decided before, 0 refused again")
    assert.equal(2, decisions_of "crm-7")
    holds(import("crm.csv", "--source crm_export"), "keeps 1 of these payloads, 1 of them from before")
    holds(harness.read(daemon.data .. "/quarantine/events.mp"), "crm-7")
    daemon:admin():must("lead.forget", "crm-7")
    assert.same({}, ids()) -- what named nobody goes with the repair that does
  end)

  it("are all taken, and none twice, by a replay that is killed again and again", function()
    start { shards = 4 }
    local lines, seed = {}, tonumber(os.getenv "SEED") or os.time()
    print(("SEED=%d"):format(seed))
    local random = harness.random(seed)
    for i = 1, 120 do
      lines[i] = ('{"id":"%d","time":"2026-01-05T09:00:00Z","kid":"kid-%d","action":"signup"}'):format(i, i % 12)
    end
    import(write("log.jsonl", table.concat(lines, "\n") .. "\n"))
    local found = ids()
    assert.equal(120, #found)
    harness.edit(policies .. "/signals/b2b/sources/product_log.lua", '"user.id", "user_id" }', '"user.id", "user_id", "kid" }')
    daemon:admin():must "policy.reload"
    local function sent(from)
      local some = {}
      for i = from, math.min(from + 29, #found) do some[#some + 1] = found[i] end
      local admin = daemon:admin()
      return admin, admin:send("quarantine.replay", { ids = some })
    end
    for _ = 1, 6 do
      for from = 1, #found, 30 do sent(from) end
      require("socket").sleep(random(25) / 1000)
      daemon:kill()
      daemon:restart()
    end
    client = daemon:connect()
    for from = 1, #found, 30 do
      local admin, call = sent(from)
      local answer = admin:answer(call)
      for _, one in ipairs(answer.result) do assert.is_nil(one.error) end
    end
    for i = 0, 11 do assert.equal(20, decisions_of("kid-" .. i)) end
    assert.is_truthy(quarantine("list"):find "nothing is in quarantine")
  end)

  -- The ids of payloads without one are then others, and a replay must make the same.
  it("count with --again as that import counts them", function()
    start()
    local log = policies .. "/signals/b2b/sources/product_log.lua"
    harness.edit(log, 'messageId = s.pick "id",', "")
    harness.edit(log, 's.lower "plan"', 's.need "plan"')
    daemon:admin():must "policy.reload"
    local file = write("log.jsonl", '{"time":"2026-01-05T09:00:00Z","user_id":"kim","action":"signup"}\n')
    import(file)
    import(file)
    assert.equal(1, decisions_of "kim") -- one of two pieces
    assert.equal(1, #ids())
    import(file, "--source product_log --again")
    assert.equal(2, decisions_of "kim")
    assert.equal(2, #ids())
    harness.edit(log, 's.need "plan"', 's.lower "plan"')
    daemon:admin():must "policy.reload"
    for _ = 1, 2 do
      quarantine "replay --all --force"
      assert.equal(4, decisions_of "kim") -- the other piece of either
    end
  end)

  it("go to a file when that was asked for, and in bounds", function()
    start()
    write("log.jsonl", LINES)
    local out = import("log.jsonl", "--source product_log --rejects left.jsonl")
    assert.is_nil(out:find("the quarantine", 1, true))
    assert.equal(0, #ids())
    local left = harness.read(folder .. "/left.jsonl")
    holds(left, '"file":"log.jsonl","line":3,"rule":"action","why":"\'time\' is no time')
    holds(import("log.jsonl", "--source product_log --rejects left.jsonl --quarantine 1"), "1 more were not kept")
    assert.equal(1, #ids())
    out = import("log.jsonl", "--source product_log --quarantine 1")
    holds(out, "keeps 1 of these payloads, 1 of them from before")
    holds(out, "1 more were not kept: --quarantine N allows more than 1")
    import("log.jsonl", "--source product_log --dry-run")
    import("log.jsonl", "--source product_log --quarantine 0")
    assert.equal(1, #ids())
  end)

  it("are rows in another encoding, too, and those that a mapping loops on", function()
    start()
    write("crm.csv", "Record ID,Last Modified,Name,Stage\n1,05.01.2026,Ada,Lead\n2,05.01.2026,M\252ller,Lead\n3,05.01.2026,Eve,Lead\n")
    local out = import("crm.csv", "--source crm_export")
    holds(out, "crm.csv:3: refused: 'Name' is not UTF-8: write the file in that encoding")
    assert.equal(2, decisions_of "crm-3")
    assert.is_nil(client:call("lead.get", "crm-2"))
    assert.same(ids(), ids "--lead crm-2")
    holds(quarantine "replay", "'Name' is not UTF-8")
    write("more.csv", "Record ID,Last Modified,Name,Stage\n4,05.01.2026,Hopper, Grace,Lead\n5,05.01.2026,Eve,Lead\n")
    holds(import("more.csv", "--source crm_export"), "more.csv:2: refused: 5 fields, where the first row names 4")
    assert.equal(2, decisions_of "crm-5")
    holds(quarantine "show --personal", " Grace")
    holds(quarantine "replay", "no rule is for it")

    write("evil.lua", [[
      local s = require "source"
      return s.source "evil" { owner = "o", rationale = "r", messageId = s.pick "id", userId = "evil", rules = {
        s.rule "loop" { when = { kind = "loop" }, event = s.custom("c", { why = "w" }, function() while true do end end) },
        s.rule "rest" { event = "Trial Started" } } }]])
    local lines = {}
    for i = 1, 40 do lines[i] = ('{"id":%d,"kind":"%s"}'):format(i, i % 20 == 0 and "loop" or "good") end
    out = import(write("evil.jsonl", table.concat(lines, "\n") .. "\n"), "--source evil.lua")
    holds(out, "evil.jsonl:20: refused: ")
    holds(out, "2 pieces of 40 payloads")
    assert.equal(38, decisions_of "evil")
    assert.equal(2, #ids "--code policy_stopped")
    out = quarantine "replay --source evil"
    holds(out, "it is a payload of source 'evil', which the release in force has not")
  end)

  it("are lines that are no JSON, too, and then what they should have been", function()
    start()
    local out = import(write("log.jsonl", '{"id":"1","time":"2026-01-05","user_id":"kim","action":"x"}\n{"id":"2","user_id":"kim\n' ..
      '{"id":"3","time":"2026-01-05","user_id":"kim","action":"x","action":"y"}\n"\255"\n' ..
      '{"id":"4","time":"2026-01-05","user_id":"kim","action":"x"}\n'))
    holds(out, "log.jsonl:2: refused: JSON, line 1, column")
    assert.equal(2, decisions_of "kim")
    local found = ids()
    assert.equal(3, #found)
    holds(quarantine "show --personal", [["payload":"{\"id\":\"2\",\"user_id\":\"kim"]])
    holds(quarantine("replay"), "a payload is an object, or a list of them")
    assert.equal(3, #ids())
    holds(quarantine(("fix %s --set 'payload={\"id\":\"2\",\"time\":\"2026-01-05\",\"user_id\":\"kim\",\"action\":\"x\"}'"):format(found[1])), "is fixed")
    quarantine "replay"
    assert.equal(3, decisions_of "kim")
  end)

  it("go with a lead that is forgotten, whichever piece of them names it", function()
    start { flags = { "--write_key", "K=web" } }
    local line = '{"eventId":1,"subscriptionId":2,"objectId":1,"occurredAt":1767603600123,' ..
      '"subscriptionType":"contact.merge","mergedObjectIds":[7,{},8],"primaryObjectId":9}\n'
    write("hub.jsonl", line .. '{"eventId":2,"subscriptionId":2,"objectId":1,"occurredAt":null,"subscriptionType":"contact.creation"}\n')
    import("hub.jsonl", "--source hubspot")
    assert.equal(2, #ids())
    harness.wait("the lead", function() return client:call("lead.get", "hubspot-9") ~= nil end)
    local file = daemon.data .. "/quarantine/events.mp"
    holds(harness.read(file), "hubspot-8")
    daemon:admin():must("lead.forget", "hubspot-9")
    assert.is_nil(harness.read(file):find("hubspot-9", 1, true))
    assert.equal(1, #ids())
    import("hub.jsonl", "--source hubspot") -- it is sent again, and so it is there again
    assert.equal(2, #ids())
  end)

  it("are kept in the end by a disk that fails now and then", function()
    start { env = { INTENTD_DISK_FAULTS = "write:quarantine/*:2+3:part+ENOSPC;sync:quarantine/*:2:EIO" } }
    local many = {}
    for i = 1, 600 do many[i] = ('{"id":"%d","action":"x"}'):format(i) end
    holds(import(write("log.jsonl", table.concat(many, "\n") .. "\n")), "the quarantine keeps 600 of these payloads")
    assert.equal(600, #ids())
    daemon:kill()
    daemon:restart { env = {} }
    assert.equal(600, #ids())
    holds(import "log.jsonl", "keeps 600 of these payloads, 600 of them from before")
  end)

  it("wait for a daemon that is away", function()
    start()
    local many = {}
    for i = 1, 400 do many[i] = ('{"id":"%d","action":"x"}'):format(i) end
    write("log.jsonl", table.concat(many, "\n") .. "\n")
    local done = folder .. "/done"
    os.execute(("(cd '%s' && (sleep 0.3; cat log.jsonl) | '%s/intent' import --any-clock --to 127.0.0.1:%d --policies '%s' " ..
      "--source product_log --format json --patience 60 - >'%s.log' 2>&1; echo $? >'%s') &"):format(folder, harness.bin,
      daemon.ports.listen, policies, done, done))
    harness.wait("the import's connection", function() return daemon:metric "intentd_rpc_requests_total" >= 1 end)
    local port = daemon.ports.listen
    daemon:kill()
    require("socket").sleep(0.5)
    daemon:restart { listen = "127.0.0.1:" .. port }
    harness.wait(function() return harness.read(done .. ".log") or "" end, function() return harness.read(done) end)
    assert.equal(400, #ids())
  end)

  describe("asked for by anybody", function()
    local function add(param) return client:call("quarantine.add", param) end
    local function entry(more)
      local one = { payload = pack.bin "\129\161a\1", why = "it is bad" }
      for key, value in pairs(more or {}) do one[key] = value end
      return one
    end
    local function call(entries, source) return { source = source or "shop", payloads = entries } end

    it("are kept or refused, never half", function()
      start()
      local bad = {
        {}, { source = "shop" }, { source = "shop", payloads = pack.list {} }, { source = "shop", payloads = "x" },
        call({ entry() }, "Shop"), call({ entry() }, ""), call({ entry() }, ("s"):rep(64)), call({ entry() }, "a-b"),
        call { "x" }, call { {} }, call { entry { payload = "text" } }, call { entry { payload = pack.bin "" } },
        call { entry { payload = pack.bin "\193" } }, call { entry { payload = pack.bin "\1\1" } },
        call { entry { payload = pack.bin "\129\161a" } }, call { entry { payload = pack.bin(("\145"):rep(40) .. "\1") } },
        call { entry { why = "" } }, call { entry { why = 1 } }, call { entry { why = ("w"):rep(401) } },
        call { entry { why = "\255" } }, call { entry { rule = {} } }, call { entry { where = ("w"):rep(201) } },
        call { entry { who = "kim" } }, call { entry { who = { 1 } } }, call { entry { who = { "" } } },
        call { entry { who = { ("w"):rep(513) } } }, call { entry { salt = pack.bin "short" } }, call { entry { salt = "x" } },
        call { entry(), entry { why = "" } },
      }
      local many = {}
      for i = 1, 501 do many[i] = entry() end
      bad[#bad + 1] = call(many)
      for i, param in ipairs(bad) do
        local result, err = add(param)
        assert.is_nil(result, "call " .. i)
        assert.equal("invalid_argument", err.code, "call " .. i)
        assert.is_truthy(#err.detail > 10)
      end
      assert.equal(0, #ids())
      for _, param in ipairs { "x", 1, true } do assert.equal("invalid_argument", select(2, add(param)).code) end
      local kept = client:must("quarantine.add", call { entry(), entry(), entry { payload = pack.bin "\192" },
        entry { payload = pack.bin(("\145"):rep(30) .. "\1") }, entry { why = ("w"):rep(400), rule = ("r"):rep(200) } })
      assert.equal(5, #kept)
      assert.is_false(kept[1].known)
      assert.is_true(kept[2].known)
      assert.equal(kept[1].id, kept[2].id)
      assert.equal(kept[1].id, kept[5].id) -- the first reason stays
      assert.equal(3, #ids())
      holds(quarantine "show --personal", "it is bad")
    end)

    it("are cut as by HTTP, and too large ones refused alone", function()
      start { ["quarantine.bytes"] = "64k" }
      local kept = client:must("quarantine.add", call { entry { payload = pack.bin("\198\0\1\0\0" .. ("x"):rep(65536)) },
        entry(), entry { payload = pack.bin("\218\128\232" .. ("y"):rep(33000)) } })
      assert.equal("too_large", kept[1].error.code)
      assert.is_false(kept[2].known)
      assert.equal("too_large", kept[3].error.code)
      for i = 1, 40 do -- the oldest go, and what is gone is new again
        local one = client:must("quarantine.add", call { entry { payload = pack.bin("\218\15\0" .. ("%04d"):format(i):rep(960)) } })
        assert.is_false(one[1].known)
      end
      assert.is_false(client:must("quarantine.add", call { entry() })[1].known)
      assert.is_true(client:must("quarantine.add", call { entry() })[1].known)
      assert.is_true(#harness.read(daemon.data .. "/quarantine/events.mp") <= 32768)
    end)

    it("are not repaired or replayed by what makes no sense", function()
      start()
      import(write("log.jsonl", LINES))
      local admin, found = daemon:admin(), ids()
      local good = { type = "track", event = "E", userId = "u", messageId = "m" }
      local nest = pack.raw(("\129\161a"):rep(60) .. "\1")
      local who, payload = pack.list {}, pack.raw "\129\161a\1"
      local fixes = {
        pack.raw "\192", 1, "x", pack.list {}, {}, { id = found[1] }, { event = good }, { id = found[1], event = pack.raw "\192" },
        { id = 1, event = good }, { id = "", event = good }, { id = found[1] .. "0", event = good }, { id = ("g"):rep(16), event = good },
        { id = ("0"):rep(16), event = good }, { id = found[1], event = pack.list { good } }, { id = found[1], event = {} },
        { id = found[1], event = { type = "track", event = "E", userId = pack.bin "u" } },
        { id = found[1], event = { type = "track", event = "E", userId = "\255" } },
        { id = found[1], event = { type = "track", event = "E", userId = "u", timestamp = "x" } },
        { id = found[1], event = { type = "track", event = "E", userId = "u", properties = { x = ("x"):rep(70000) } } },
        { id = found[1], event = { source = "product_log", who = who, payload = payload } },
        { id = found[1], event = { source = "product_log", who = { 5 }, payload = 5 } },
        { id = found[1], event = { source = "product_log", who = who, payload = pack.list { payload } } },
        { id = found[1], event = { source = "stripe", who = who, payload = payload } },
        { id = ("0"):rep(16), event = { source = "product_log", who = who, payload = payload } },
        { id = found[1], event = { source = "product_log", who = "kim", payload = payload } },
        { id = found[1], event = { source = "product_log", who = who, payload = payload, salt = "short" } },
        { id = found[1], event = { source = "product_log", who = who, payload = {
          id = "1", time = "2026-01-05", user_id = "u", action = "x", more = pack.ext(7, "x") } , extra = 1 } },
      }
      for i, param in ipairs(fixes) do
        local result, err = admin:call("quarantine.fix", param)
        assert.is_nil(result, "fix " .. i)
        assert.is_truthy(#err.detail > 10, "fix " .. i)
        assert.is_false(err.retryable)
      end
      local replays = { 1, {}, { ids = pack.list {} }, { ids = "x" }, { ids = { 1 } }, { ids = { "x" } }, { ids = { ("g"):rep(16) } } }
      local many = {}
      for i = 1, 65 do many[i] = found[1] end
      replays[#replays + 1] = { ids = many }
      for i, param in ipairs(replays) do
        local result, err = admin:call("quarantine.replay", param)
        assert.is_nil(result, "replay " .. i)
        assert.equal("invalid_argument", err.code)
      end
      assert.is_nil(quarantine("list"):find "fixed")
      for _, client_of in ipairs { client } do -- who is no administrator
        for _, method in ipairs { "quarantine.fix", "quarantine.replay" } do
          assert.equal("unauthorized", select(2, client_of:call(method, { id = found[1], event = good })).code)
        end
      end
      pcall(admin.call, admin, "quarantine.fix", { id = found[1], event = nest }) -- the connection ends over it: too deep for a message
      admin = daemon:admin()
      -- The same one several times in a call counts once; and the fix that is good is taken.
      assert.is_nil(select(2, admin:call("quarantine.fix", { id = found[1], event = good })))
      local answer = admin:must("quarantine.replay", { ids = { found[1], found[1], found[1] } })
      local new = 0
      for _, one in ipairs(answer) do new = new + (one.decision.duplicate and 0 or 1) end
      assert.equal(1, new)
      assert.equal(1, decisions_of "u")
    end)

    -- What else is refused may look like one: it must not be mapped as a signed source's.
    it("are none that was sent as an event", function()
      start()
      local _, err = client:call("event.ingest", { source = "product_log", who = pack.list {}, payload = {
        id = "z", time = "2026-01-05", user_id = "mallory", action = "x" } })
      assert.equal("invalid_event", err.code)
      local found = ids()
      assert.equal(1, #found)
      assert.equal(0, #ids "--source product_log")
      local again = daemon:admin():must("quarantine.replay", { ids = found })
      assert.equal("invalid_event", again[1].error.code)
      assert.is_nil(client:call("lead.get", "mallory"))
    end)
  end)
end)
