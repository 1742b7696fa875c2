--- Personal data: where it lies, where it never does, and that nothing of it is left once a lead is forgotten.
local lfs = require "lfs"

local harness = require "harness"
local http = require "http"
local json = require "dkjson"

local function event(keys) return harness.event(keys) end

--- Every file below a folder: path -> bytes.
local function files(folder, found)
  found = found or {}
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    local mode = name ~= "." and name ~= ".." and lfs.symlinkattributes(path, "mode")
    if mode == "directory" then files(path, found) end
    if mode == "file" then found[path] = harness.read(path) end
  end
  return found
end

--- Values that stand nowhere else, one for each way in which a person can be told by what the shipped signals declare.
local function canaries(who)
  local c = {
    userId = "canary-user-" .. who .. "@acme.example",
    anonymousId = "canary-anonymous-" .. who,
    email = "canary.mail." .. who .. "@acme.example",
    email_property = "canary.property." .. who .. "@acme.example",
    first = "Canaryfirst" .. who,
    last = "Canarylast" .. who,
    name = "Canaryfirst Canarylast" .. who .. " the whole",
    phone = "+49-555-0" .. (who == "one" and "111" or "222") .. "-canary-" .. who,
    ip = who == "one" and "203.0.113.111" or "198.51.100.222",
    context_email = "canary.context." .. who .. "@acme.example",
  }
  return c
end

local function identify(c, keys)
  local e = event {
    type = "identify",
    event = false,
    userId = c.userId,
    traits = { email = c.email, firstName = c.first, lastName = c.last, name = c.name, phone = c.phone, employees = 200 },
    context = { ip = c.ip, traits = { email = c.context_email } },
  }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end

local function tracked(c, keys)
  local e = event { userId = c.userId, properties = { email = c.email_property, seats = 5 }, context = { ip = c.ip } }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end

describe("lead.forget", function()
  after_each(harness.finish)

  it("is administration, and says what it did", function()
    local daemon = harness.start { shards = 3 }
    local client, admin = daemon:connect(), daemon:admin()
    local first = client:must("event.ingest", event { messageId = "m1" })
    local other = client:must("event.ingest", event { userId = "u2", messageId = "m1" })
    local _, err = client:call("lead.forget", "u1")
    assert.equal("unauthorized", err.code)
    _, err = admin:call("lead.forget", "nobody")
    assert.equal("not_found", err.code)

    local done = admin:must("lead.forget", "u1")
    assert.same({ lead = first.lead, erased = 2, quarantined = 0 }, done)
    for _, question in ipairs {
      { "lead.get", "u1" },
      { "lead.get", first.lead, says = "was forgotten" },
      { "decision.get", first.decision_id, says = "was forgotten" },
      { "decision.explain", first.decision_id, says = "was forgotten" },
      { "decision.explain", "u1" },
      { "lead.forget", "u1" },
      { "lead.forget", first.lead, says = "was forgotten" },
    } do
      _, err = admin:call(question[1], question[2])
      assert.equal("not_found", err.code, question[1])
      assert.is_truthy(err.detail:find(question.says or "no lead", 1, true), err.detail)
    end
    _, err = client:call("event.ingest", event { messageId = "m1" })
    assert.equal("forgotten", err.code)
    assert.is_false(err.retryable)
    assert.equal("not_found", select(2, client:call("lead.get", "u1")).code)
    assert.equal(other.lead, client:must("lead.get", "u2").lead.lead)
    assert.is_true(client:must("event.ingest", event { userId = "u2", messageId = "m1" }).duplicate)

    local again = client:must("event.ingest", event { messageId = "m2" })
    assert.not_equal(first.lead, again.lead)
    assert.equal(first.lead .. "-1", first.decision_id)
    assert.equal(again.lead .. "-1", again.decision_id)
    assert.equal(1, daemon:metric "intentd_forgotten_total")
    assert.is_truthy(daemon:log():find("event=lead_forgotten lead=" .. first.lead .. " by=\"uid ", 1, true))

    for _, ending in ipairs { "stop", "kill" } do
      daemon[ending](daemon)
      daemon:restart()
      client = daemon:connect()
      assert.equal(again.lead, client:must("lead.get", "u1").lead.lead)
      assert.equal("forgotten", select(2, client:call("event.ingest", event { messageId = "m1" })).code)
      _, err = client:call("decision.get", first.decision_id)
      assert.is_truthy(err.detail:find("was forgotten", 1, true), err.detail)
    end
    local ledger = harness.read(daemon.data .. "/forgotten")
    assert.equal(first.lead, ledger:match "^(%x+) %d+\n$")
  end)

  it("is a command, and a replay counts it", function()
    local daemon = harness.start { clock = "event" }
    local client = daemon:connect()
    for i = 1, 20 do
      client:must("event.ingest", event { userId = "u" .. i % 4, timestamp = 1767603600000 + i * 1000 })
    end
    local lead = client:must("lead.get", "u1").lead.lead
    local out = harness.folder() .. "/out"
    local function intent(...)
      local status = os.execute(("'%s/intent' %s >%s 2>&1"):format(harness.bin, table.concat({ ... }, " "), out))
      return harness.read(out), status
    end
    local text, status = intent("lead", "forget", "u1", "--data", daemon.data)
    assert.equal(0, status, text)
    assert.is_truthy(text:find("lead " .. lead .. " is forgotten", 1, true), text)
    text, status = intent("lead", "forget", "u1", "--data", daemon.data)
    assert.equal(1, status / (status > 255 and 256 or 1), text)
    text, status = intent("lead", "forget", "u1", "--to", "127.0.0.1:1")
    assert.equal(2, status / (status > 255 and 256 or 1), text)
    assert.is_truthy(text:find("--data DIR, not --to", 1, true), text)
    text, status = intent("lead", "frobnicate", "u1", "--data", daemon.data)
    assert.equal(2, status / (status > 255 and 256 or 1), text)
    daemon:stop()
    text, status = intent("replay", "--json", "--data", daemon.data)
    assert.equal(0, status, text)
    assert.equal(0, tonumber(text:match '"different":(%d+)'))
    assert.equal(1, tonumber(text:match '"forgotten":(%d+)'))
    assert.equal(15, tonumber(text:match '"decisions":(%d+)'))
  end)

  it("is done in the end when the disk fails meanwhile", function()
    local daemon = harness.start { env = { INTENTD_DISK_FAULTS = "sync:vault/erasing:1:EIO;write:vault/erasing:3:ENOSPC" } }
    daemon:expect_errors "forget_failed"
    daemon:expect_errors "storage_failed"
    daemon:expect_errors "recovery_failed"
    local client, admin = daemon:connect(), daemon:admin()
    local leads = {}
    for i = 1, 2 do
      leads[i] = client:must("event.ingest", event { userId = "u" .. i }).lead
    end
    local answer = admin:answer(admin:send("lead.forget", "u1"))
    if answer.error then assert.equal("storage_failed", answer.error.code) end
    harness.wait("the lead to be forgotten", function()
      local _, err = client:call("lead.get", leads[1])
      return err.code == "not_found" and err.detail:find("was forgotten", 1, true)
    end)
    harness.wait("everything to be well", function() return daemon:get "/readyz" == "ready\n" end)
    harness.wait("the line", function() return (harness.read(daemon.data .. "/forgotten") or ""):find(leads[1], 1, true) end)
    assert.equal(leads[2], client:must("lead.get", "u2").lead.lead)
    for path, bytes in pairs(files(daemon.data .. "/vault")) do
      assert.is_nil(bytes:find("u1\0", 1, true), path)
    end
    admin:must("lead.forget", "u2")
  end)

  it("tells subscribers nothing of the lead from then on", function()
    local daemon = harness.start { shards = 2 }
    local client, admin, subscriber = daemon:connect(), daemon:admin(), daemon:connect()
    subscriber:must "decision.subscribe"
    for round = 1, 20 do
      local lead = client:must("event.ingest", event { userId = "u" .. round }).lead
      local sent = client:send("event.ingest", event { userId = "u" .. round, messageId = "with it" })
      admin:must("lead.forget", lead)
      local last = client:answer(sent).result
      local marker = client:must("event.ingest", event { userId = "marker" }).decision_id
      local is_over -- what came before the answer may still be read
      repeat
        local _, params = subscriber:notification()
        local decision = params[1]
        if decision.lead == lead then
          assert.is_true(decision.decision_id == lead .. "-1" or decision.decision_id == last.decision_id)
        end
        is_over = decision.decision_id == marker
      until is_over
    end
  end)

  it("goes on while the lead's events come, and others' are answered", function()
    local daemon = harness.start { shards = 4, ["checkpoint.interval"] = "100ms" }
    local client, admin = daemon:connect(), daemon:admin()
    local requests, asked = {}, {}
    for round = 1, 10 do
      for i = 1, 60 do
        requests[i] = { "event.ingest", event { userId = "u" .. i % 12, messageId = round * 100 + i } }
      end
      for i = 0, 11, 3 do
        asked[#asked + 1] = admin:send("lead.forget", "u" .. i)
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
      end
    end
    local forgotten = 0
    for _, id in ipairs(asked) do
      local answer = admin:answer(id)
      if answer.error then
        assert.equal("not_found", answer.error.code)
      else
        forgotten = forgotten + 1
      end
    end
    assert.is_true(forgotten >= 4)
    assert.equal(forgotten, daemon:metric "intentd_forgotten_total")
    for i = 0, 11 do
      local answer = client:call("lead.get", "u" .. i)
      if i % 3 ~= 0 then assert.equal(50, answer.lead.decisions) end
    end
  end)
end)

describe("personal data", function()
  after_each(harness.finish)

  it("is nowhere but in the vault and in quarantine, and after lead.forget nowhere", function()
    local daemon = harness.start { shards = 2, ["checkpoint.interval"] = "100ms", write_key = "secret=web" }
    local client = daemon:connect()
    local subscriber = daemon:connect()
    subscriber:must "decision.subscribe"
    local one, two = canaries "one", canaries "two"
    local said = {} -- what the daemon sent that is no question about a person

    local function say(raw) said[#said + 1] = raw end
    local function ingest(e)
      local _, raw = client:must("event.ingest", e)
      say(raw)
    end
    local function refused(e, code)
      local answer = client:answer(client:send("event.ingest", e))
      assert.equal(code, answer.error.code)
      say(json.encode(answer.error))
    end

    for _, c in ipairs { one, two } do
      for i = 1, 5 do
        ingest(identify(c, { messageId = "i" .. i }))
        ingest(tracked(c, { messageId = "t" .. i }))
        ingest(tracked(c, { userId = false, anonymousId = c.anonymousId, messageId = "a" .. i }))
      end
      ingest(identify(c, { type = "alias", previousId = c.anonymousId, messageId = "alias" }))
      ingest(identify(c, { messageId = "i1" })) -- a duplicate
      say((select(2, client:must("event.validate", tracked(c)))))
      -- Refused in all the ways there are.
      refused(identify(c, { timestamp = 1 }), "time_out_of_bounds")
      refused(identify(c, { type = "nonsense" }), "invalid_event")
      refused(identify(c, { properties = ("x"):rep(100) }), "invalid_event")
      refused(tracked(c, { name = ("x"):rep(70000) }), "too_large")
      say(client:answer(client:send("event.ingest", c.userId)).error.detail)
      local web = http.connect(daemon.ports.http)
      for _, body in ipairs {
        json.encode { userId = c.userId, event = "Pricing Viewed", properties = { email = c.email_property } },
        json.encode { userId = c.userId, event = 17, properties = { email = c.email_property } },
        "{\"userId\": \"" .. c.userId .. "\", \"email\": \"" .. c.email .. "\"",
      } do
        web:send("POST", "/v1/track", { Authorization = "Basic c2VjcmV0Og==" }, body)
        say(web:receive("POST").body)
      end
      web:close()
    end
    local decision = client:must("lead.get", one.userId).decision
    say((select(2, client:must("decision.get", decision.decision_id))))
    for _ = 1, 20 do
      say((select(2, subscriber:receive_value())))
    end

    local function look(c, where)
      local seen = {}
      for path, bytes in pairs(where) do
        for what, text in pairs(c) do
          if bytes:find(text, 1, true) then
            seen[what] = (seen[what] or 0) + 1
            local is_home = path:find("/vault/", 1, true) or path:find("/quarantine/", 1, true)
            assert.is_truthy(is_home, what .. " (" .. text .. ") is in " .. path)
          end
        end
      end
      return seen
    end
    local function everywhere()
      local all = files(daemon.data)
      all.log, all.metrics = daemon:log(), daemon:get "/metrics"
      for i, raw in ipairs(said) do
        all["answer " .. i] = raw
      end
      return all
    end
    local function settle() -- two checkpoints that begin from now
      local from = daemon:metric "intentd_checkpoints_total"
      client:must("event.ingest", event { userId = "somebody" })
      harness.wait("a checkpoint", function() return daemon:metric "intentd_checkpoints_total" > from end)
      from = daemon:metric "intentd_checkpoints_total"
      client:must("event.ingest", event { userId = "somebody" })
      harness.wait("a checkpoint", function() return daemon:metric "intentd_checkpoints_total" > from end)
    end

    settle()
    for _, c in ipairs { one, two } do
      local seen = look(c, everywhere())
      assert.is_truthy(seen.userId and seen.anonymousId, "the canaries were never planted")
      assert.is_truthy(seen.email and seen.phone and seen.ip, "nothing was quarantined")
    end
    daemon:stop()
    look(one, files(daemon.data))
    daemon:restart()
    client = daemon:connect()
    local admin = daemon:admin()
    client:must("event.ingest", tracked(one, { messageId = "later" }))
    local explained = client:must("decision.explain", one.userId)
    assert.equal(one.email_property, explained.event.properties.email) -- it is there for who may ask

    local quarantined = admin:must("lead.forget", one.userId).quarantined
    assert.is_true(quarantined > 0)
    -- The alias made both names one lead's.
    assert.equal("not_found", select(2, admin:call("lead.forget", one.anonymousId)).code)
    local function is_gone(where)
      for path, bytes in pairs(where) do
        for what, text in pairs(one) do
          assert.is_nil(bytes:find(text, 1, true), what .. " (" .. text .. ") is still in " .. path)
        end
      end
    end
    is_gone(everywhere()) -- at once, stale pages of LMDB too
    settle()
    is_gone(everywhere())
    assert.is_truthy(look(two, everywhere()).email, "somebody else's was taken along")
    assert.equal(two.userId, client:must("lead.get", two.userId).identities[1].value)
    daemon:kill()
    is_gone(files(daemon.data))
    daemon:restart()
    is_gone(everywhere())
    daemon:stop()
    is_gone(files(daemon.data))
  end)
end)
