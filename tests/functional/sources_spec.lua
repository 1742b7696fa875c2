--- Sources on a running daemon: what vendors send becomes events, once, under the mapping in force; who is not the vendor
--- is not let in; what can't be used is said, kept and counted; and a mapping that never ends holds up nobody else.
local ffi = require "ffi"
local socket = require "socket"

local harness = require "harness"
local http = require "http"

ffi.cdef [[
int crypto_auth_hmacsha256_init(void *state, const uint8_t *key, size_t size);
int crypto_auth_hmacsha256_update(void *state, const uint8_t *text, unsigned long long size);
int crypto_auth_hmacsha256_final(void *state, uint8_t *out);
size_t crypto_auth_hmacsha256_statebytes(void);
char *sodium_bin2base64(char *out, size_t max, const uint8_t *text, size_t size, int variant);
]]
local sodium = ffi.load "sodium"

local FIXTURES = harness.root .. "/policies/signals/b2b/sources/fixtures/"
local SECRET = "whsec_tests"

local function fixture(name) return (assert(harness.read(FIXTURES .. name), name)) end

local function mac(text, key)
  local state = ffi.new("uint8_t[?]", sodium.crypto_auth_hmacsha256_statebytes() + 64)
  local aligned = ffi.cast("uint8_t *", bit.band(ffi.cast("intptr_t", state) + 63, -64LL))
  local out = ffi.new "uint8_t[32]"
  sodium.crypto_auth_hmacsha256_init(aligned, key or SECRET, #(key or SECRET))
  sodium.crypto_auth_hmacsha256_update(aligned, text, #text)
  sodium.crypto_auth_hmacsha256_final(aligned, out)
  return out
end

local function hex(text, key)
  local out, digits = mac(text, key), {}
  for i = 0, 31 do digits[i + 1] = ("%02x"):format(out[i]) end
  return table.concat(digits)
end

local function base64(text)
  local out = ffi.new "char[64]"
  sodium.sodium_bin2base64(out, 64, mac(text), 32, 1)
  return ffi.string(out)
end

describe("sources", function()
  local daemon, client, secret_file

  local function start(options)
    secret_file = harness.folder() .. "/secret"
    harness.write(secret_file, "an older one\n" .. SECRET .. "\n")
    local all = { flags = {} }
    for name, value in pairs(options or {}) do all[name] = value end
    for _, source in ipairs { "stripe", "hubspot", "salesforce" } do
      all.flags[#all.flags + 1] = "--source_secret"
      all.flags[#all.flags + 1] = source .. "=" .. secret_file
    end
    daemon = harness.start(all)
    client = daemon:connect()
  end
  local function post(source, body, headers)
    return http.request(daemon.ports.http, "POST", "/v1/source/" .. source, body, headers)
  end
  local function stripe(body, at)
    local t = at or os.time()
    return post("stripe", body, { ["Stripe-Signature"] = ("t=%d,v1=%s"):format(t, hex(t .. "." .. body)) })
  end
  local function hubspot(body)
    local at = ("%d"):format(socket.gettime() * 1000)
    return post("hubspot", body, { ["X-HubSpot-Request-Timestamp"] = at,
      ["X-HubSpot-Signature-v3"] = base64("POSThttps://localhost/v1/source/hubspot" .. body .. at) })
  end
  local function salesforce(body) return post("salesforce", body, { ["X-Source-Token"] = SECRET }) end
  local function event_of(who) return client:must("decision.explain", who).event end
  local function decisions_of(who) return client:must("lead.get", who).lead.decisions end
  local function taken(answer, events)
    assert.equal(200, answer.status, answer.body)
    assert.is_true(answer.json.success)
    assert.equal(events, answer.json.events)
    return answer.json
  end
  local function refused(answer, status, code, detail)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.code)
    assert.is_truthy(answer.json.detail:find(detail, 1, true), ('"%s" does not say "%s"'):format(answer.json.detail, detail))
    return answer.json
  end
  local function count(name, source) return daemon:metric("intentd_source_" .. name .. "_total", source) end

  after_each(harness.finish)

  -- What a mapping could not use is mapped anew when it is mended, and lands where it belongs, once.
  it("that were refused are taken out of the quarantine by a mapping that was mended", function()
    local policies = harness.policies()
    local log = policies .. "/signals/b2b/sources/product_log.lua"
    start { policies = policies, watch = "no" }
    local admin = daemon:admin()
    local function ids()
      local found = {}
      local pipe = io.popen(("'%s/intent' quarantine list --json --data '%s'"):format(harness.bin, daemon.data))
      for line in pipe:lines() do found[#found + 1] = line:match '"id":"(%x+)"' end
      pipe:close()
      return found
    end
    taken(post("product_log", '{"id":"a","time":"2026-01-05T09:00:00Z","user_id":"kim","action":"x"}'), 1)
    local late = '{"id":"b","time":"2026-01-04T09:00:00Z","kid":"kim","user":{"email":"kim@acme.example"},"action":"signup"}'
    refused(post("product_log", late), 400, "invalid_event", "who it is")
    harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 1 end) -- in this order
    refused(post("product_log", '{"id":"c","action":"x"}'), 400, "invalid_event", "who it is")
    harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 2 end)
    local found = ids()
    assert.equal(2, #found)
    local function quarantine(words)
      local pipe = io.popen(("'%s/intent' quarantine %s --data '%s' 2>&1"):format(harness.bin, words, daemon.data))
      local out = pipe:read "*a"
      pipe:close()
      return out
    end
    local listed = quarantine "list --source product_log"
    assert.is_truthy(listed:find(found[1], 1, true) and listed:find(found[2], 1, true), listed)
    assert.is_truthy(quarantine("list --source stripe"):find "nothing is in quarantine")
    local shown = quarantine "show" -- of a payload nobody declared what is personal
    assert.is_truthy(shown:find("as it came (--personal", 1, true), shown)
    assert.is_nil(shown:find "kim")
    assert.is_truthy(quarantine("show --personal"):find("kim@acme.example", 1, true))
    local again = admin:must("quarantine.replay", { ids = found })
    assert.is_truthy(again[1].error.detail:find("who it is", 1, true), again[1].error.detail)

    harness.edit(log, '"user.id", "user_id" }', '"user.id", "user_id", "kid" }')
    assert.is_true(admin:must("policy.reload").changed)
    again = admin:must("quarantine.replay", { ids = found })
    assert.equal(2, again[1].events) -- of one payload
    assert.is_false(again[1].decision.duplicate)
    assert.is_truthy(again[2].error.detail:find("who it is", 1, true), again[2].error.detail)
    assert.equal(3, decisions_of "kim")
    assert.equal("acme.example", client:must("lead.get", "kim").lead.features.email_domain)
    assert.equal(1767517200000, event_of("kim").timestamp) -- its own time, not that of the replay
    again = admin:must("quarantine.replay", { ids = { found[1] } })
    assert.is_true(again[1].decision.duplicate)
    taken(post("product_log", late), 2) -- its sender sends it again
    assert.equal(3, decisions_of "kim")
    daemon:kill()
    daemon:restart()
    admin, client = daemon:admin(), daemon:connect()
    again = admin:must("quarantine.replay", { ids = { found[1] }, as_came = true })
    assert.is_true(again[1].decision.duplicate)
    assert.equal(3, decisions_of "kim")
    harness.edit(log, 'source "product_log"', 'source "product_trail"')
    os.rename(log, (log:gsub("product_log", "product_trail")))
    assert.is_true(admin:must("policy.reload").changed)
    again = admin:must("quarantine.replay", { ids = { found[2] } })
    assert.is_truthy(again[1].error.detail:find("of source 'product_log', which", 1, true), again[1].error.detail)
  end)

  describe("of vendors", function()
    before_each(function() start() end)

    it("become events of their leads, and a retry changes nothing", function()
      for _ = 1, 2 do
        taken(stripe(fixture "stripe_checkout.json"), 2)
        taken(stripe(fixture "stripe_invoice_paid.json"), 1)
        taken(hubspot(fixture "hubspot_deals.json"), 3)
        taken(salesforce(fixture "salesforce_lead_created.json"), 2)
      end
      assert.equal(3, decisions_of "u-4711")
      assert.equal(3, decisions_of "hubspot-deal-20811735544")
      assert.equal(2, decisions_of "salesforce-00Q5e00000XyZabEAF")
      assert.equal(8, daemon:metric "intentd_duplicates_total")
      local paid = event_of "u-4711"
      assert.equal("Invoice Paid", paid.event)
      assert.equal(29, paid.properties.amount)
      assert.equal("stripe", paid.context.source)
      assert.equal(4, count("payloads", "stripe"))
      assert.equal(6, count("events", "stripe"))
    end)

    it("tie a contact of the CRM to our own user", function()
      taken(hubspot(fixture "hubspot_contacts.json"), 5)
      local function lead_of(who) return client:must("lead.get", who).lead.id end
      harness.wait("one lead", function() return lead_of "hubspot-39580875173" == lead_of "u-815" end)
      taken(hubspot(fixture "hubspot_contacts.json"), 5) -- a retry
      local lead = client:must("lead.get", "u-815").lead
      assert.equal(250, lead.features.company_size)
      assert.equal("harbour.example", lead.features.email_domain)
      assert.is_true(daemon:metric "intentd_duplicates_total" >= 5)
    end)

    it("are answered piece by piece", function()
      local lines = {}
      for line in fixture("product_log.jsonl"):gmatch "[^\n]+" do lines[#lines + 1] = line end
      local json = taken(post("product_log", "[" .. table.concat(lines, ",") .. "]"), 5)
      local at = {}
      for i, entry in ipairs(json.refused) do at[i] = entry.index end
      assert.same({ 5, 6 }, at)
      assert.equal("invalid_event", json.refused[2].code)
      assert.equal("source product_log, rule 'action': 'time' is no time of the form rfc3339", json.refused[2].detail)
      assert.same({ { index = 2, rule = "colleagues", why = "Our own people are no leads." },
        { index = 7, rule = "machines", why = "Monitoring signs in, too." } }, json.skipped)
      assert.equal(8, count("payloads", "product_log"))
      assert.equal(2, count("refused", "product_log"))
      assert.equal(2, count("skipped", "product_log"))
      harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 2 end)
      assert.is_truthy(harness.read(daemon.data .. "/quarantine/events.mp"):find("gestern", 1, true))
      assert.is_nil(daemon:log():find("gestern", 1, true)) -- what payloads say is in no log
    end)

    it("are forms, too, and gzip", function()
      taken(post("crm_export", "Record ID=9&Name=Hopper%2C+Grace&Last+Modified=05.01.2026&Stage=Lead",
        { ["Content-Type"] = "application/x-www-form-urlencoded" }), 2)
      assert.equal("lead", event_of("crm-9").properties.stage)
      taken(post("product_log", http.gzip '{"id":"z","time":"2026-01-05T09:00:00Z","user_id":"zip","action":"x"}',
        { ["Content-Encoding"] = "gzip" }), 1)
    end)

    it("are kept once, however many of their pieces are refused", function()
      local ids = {}
      for i = 1, 300 do ids[i] = ("%d"):format(i) end
      local body = '[{"eventId":1,"subscriptionId":2,"objectId":1,"occurredAt":"x","subscriptionType":"contact.merge","mergedObjectIds":[' ..
        table.concat(ids, ",") .. '],"primaryObjectId":9}]'
      assert.equal(300, #refused(hubspot(body), 400, "invalid_event", "is no number").refused)
      harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 1 end)
    end)

    -- The identity is made of the payload and stands nowhere in it.
    it("of a forgotten lead leave the quarantine", function()
      local body = '[{"eventId":1,"subscriptionId":2,"objectId":39580875173,"occurredAt":%s,"subscriptionType":"contact.creation"}]'
      taken(hubspot(body:format("1767603600123")), 1)
      refused(hubspot(body:format("null")), 400, "invalid_event", "'occurredAt' is missing")
      refused(hubspot(body:format('"x"'):gsub("39580875173", "11"), nil), 400, "invalid_event", "is no number")
      harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 2 end)
      local file = daemon.data .. "/quarantine/events.mp"
      assert.is_truthy(harness.read(file):find("hubspot-39580875173", 1, true))
      assert.equal(1, daemon:admin():must("lead.forget", "hubspot-39580875173").quarantined)
      assert.is_nil(harness.read(file):find("hubspot-39580875173", 1, true))
      assert.is_truthy(harness.read(file):find("hubspot-11", 1, true))
    end)

    it("are refused for good when nothing can be used", function()
      local json = refused(post("product_log", '{"action":"x","id":"1"}'), 400, "invalid_event", "who it is")
      assert.equal(1, #json.refused)
      refused(post("product_log", "{"), 400, "invalid_message", "the body")
      refused(post("product_log", "5"), 400, "invalid_event", "a JSON object, or a list")
      refused(post("product_log", "[]"), 400, "invalid_event", "empty list")
      refused(post("product_log", "[" .. ("{},"):rep(1000) .. "{}]"), 413, "too_large", "net.batch")
      refused(post("product_log", '{"a":"' .. ("x"):rep(4 * 1024 * 1024) .. '"}'), 413, "too_large", "frame.bytes")
      refused(post("product_log", ("["):rep(40) .. ("]"):rep(40)), 413, "too_large", "frame.depth")
      refused(post("crm_export", "a=%zz", { ["Content-Type"] = "application/x-www-form-urlencoded" }), 400, "invalid_message", "escape")
      refused(post("product_log", "{}", { ["Content-Encoding"] = "br" }), 415, "invalid_argument", "gzip")
      refused(post("productlog", "{}"), 404, "not_found", "there are crm_export, hubspot, product_log, salesforce, stripe")
      assert.equal(405, http.request(daemon.ports.http, "GET", "/v1/source/stripe").status)
      assert.equal(0, daemon:metric "intentd_events_total")
    end)

    it("may say anything", function()
      for _, body in ipairs {
        '{"id":{"__index":1},"time":[],"user":{"id":[1]},"action":{"x":null}}', '{"user":"no object","action":"x","id":1}',
        '{"id":1e308,"time":"2026-01-05","user_id":1e308,"action":"x"}', '{"id":-0.0,"user_id":-0.0,"action":"x"}',
        '{"__proto__":{"action":"x"},"constructor":null,"action":true}', '[[1],[[2]],"x",null,true,3]',
        '{"id":18446744073709551616,"action":"x"}', '{"user_id":"\\u0000","action":"\\u0000","id":"\\u0000"}',
        '{"action":"company","company":{"id":{},"size":"1e400"},"user_id":"u"}', '{"user_id":"' .. ("u"):rep(600) .. '","action":"x","id":"1"}',
      } do
        local answer = post("product_log", body)
        assert.is_true(answer.status == 200 or answer.status == 400, answer.status .. body)
        assert.is_table(answer.json)
      end
      taken(post("product_log", '{"id":9007199254740993,"time":"2026-01-05","user_id":9007199254740995,"action":"x"}'), 1)
      assert.equal("9007199254740995", event_of("9007199254740995").userId) -- every digit
    end)
  end)

  describe("that are signed", function()
    before_each(function() start() end)

    it("let in nobody else", function()
      local body = fixture "stripe_invoice_paid.json"
      refused(post("stripe", body), 401, "unauthorized", "Stripe-Signature is missing")
      refused(post("stripe", body, { ["Stripe-Signature"] = "t=" .. os.time() .. ",v1=" .. ("0"):rep(64) }), 401, "unauthorized", "is not that")
      refused(stripe(body, os.time() - 400), 401, "unauthorized", "the signed time")
      refused(post("hubspot", fixture "hubspot_deals.json"), 401, "unauthorized", "X-HubSpot-Signature-v3 is missing")
      refused(post("salesforce", "{}", { ["X-Source-Token"] = "guess" }), 401, "unauthorized", "the token")
      assert.equal(0, daemon:metric "intentd_events_total")
      assert.equal(0, daemon:metric "intentd_quarantined_total") -- what strangers send is not kept
      assert.equal(3, count("unauthorized", "stripe"))
      assert.is_nil(daemon:log():find(SECRET, 1, true))
      taken(post("salesforce", '{"payload":{"ChangeEventHeader":{}}}', { ["X-Source-Token"] = "an older one" }), 0)
    end)

    it("take a new secret at the next reload", function()
      local body = fixture "salesforce_outbound.json"
      harness.write(secret_file, "rolled\n")
      taken(salesforce(body), 1)
      daemon:hup()
      harness.wait("the new secret", function() return salesforce(body).status == 401 end)
      taken(post("salesforce", body, { ["X-Source-Token"] = "Bearer rolled" }), 1)
    end)
  end)

  it("without a secret are closed, and open ones need a write key where there are any", function()
    daemon = harness.start { flags = { "--write_key", "K=web" } }
    client = daemon:connect()
    local line = '{"id":"1","time":"2026-01-05","user_id":"u","action":"x"}'
    refused(stripe "{}", 401, "unauthorized", "option source_secret")
    refused(post("product_log", line), 401, "unauthorized", "no write key")
    refused(post("product_log", line, http.basic "other"), 401, "unauthorized", "write key")
    taken(post("product_log", line, http.basic "K"), 1)
  end)

  it("have secrets that are no part of a policy", function()
    local policies = harness.policies { ["signals/b2b/secret"] = "x\n" }
    for file, why in pairs { [policies .. "/signals/b2b/secret"] = "lies in the policies folder", ["/nowhere"] = "/nowhere" } do
      local _, log = harness.start_fails { policies = policies, flags = { "--source_secret", "stripe=" .. file } }
      assert.is_truthy(log:find(why, 1, true), log)
    end
  end)

  it("change with the release, all at once, or not at all", function()
    local policies = harness.policies()
    local file = policies .. "/signals/b2b/sources/product_log.lua"
    start { policies = policies }
    local line = '{"id":"%d","time":"2026-01-05T09:00:00Z","user_id":"u","action":"deployed"}'
    taken(post("product_log", line:format(1)), 1)
    assert.equal("Feature Used", event_of("u").event)
    local version = client:must("policy.status").version
    harness.edit(file, '"Feature Used")', '"Project Created")')
    harness.wait("the release", function() return client:must("policy.status").version ~= version end)
    taken(post("product_log", line:format(2)), 1)
    assert.equal("Project Created", event_of("u").event)
    taken(post("product_log", line:format(1)), 1)
    assert.equal(2, decisions_of "u") -- the same payload is the same event, whatever maps it
    daemon:expect_errors "reload_failed"
    daemon:expect_errors "policy_problem"
    harness.edit(file, "s.rule \"action\"", "s.rule \"signed up\"")
    harness.wait("the failure", function() return daemon:metric "intentd_reload_failed" == 1 end)
    assert.is_truthy(client:must("policy.status").error.detail:find("sources/product_log.lua:%d+: rule 'signed up' is declared twice"))
    taken(post("product_log", line:format(3)), 1)
    assert.equal("Project Created", event_of("u").event)
  end)

  it("that loop or hoard are stopped, and nobody waits for them", function()
    local policies = harness.policies {
      ["signals/b2b/sources/evil.lua"] = [[
        local s = require "source"
        return s.source "evil" { owner = "o", rationale = "r", messageId = s.pick "id", userId = "u", rules = {
          s.rule "loop" { when = { kind = "loop" }, event = s.custom("c", { why = "w" }, function() while true do end end) },
          s.rule "hoard" { when = { kind = "hoard" }, event = s.custom("c", { why = "w" }, function()
            local t = {} for i = 1, 1e9 do t[i] = { i } end end) },
          s.rule "rest" { event = "Trial Started" } } }]],
    }
    start { policies = policies, ["source.instructions"] = 2000000000, ["source.cpu"] = "200ms", ["source.queue"] = 2 }
    local waiting = {}
    for i = 1, 5 do
      waiting[i] = http.connect(daemon.ports.http)
      waiting[i]:send("POST", "/v1/source/evil", {}, '{"id":"' .. i .. '","kind":"loop"}')
    end
    -- While the mapper is at it: everything else is answered.
    assert.equal(200, http.request(daemon.ports.http, "GET", "/healthz").status)
    assert.equal(200, http.request(daemon.ports.http, "POST", "/v1/track", { userId = "w", event = "Trial Started" }).status)
    client:must("event.ingest", harness.event { userId = "w2" })
    -- On a machine that is busy some may wait for longer than an answer may take.
    local stopped, later = 0, 0
    for i = 1, 5 do
      local answer = waiting[i]:receive()
      waiting[i]:close()
      if answer.status == 400 then
        refused(answer, 400, "policy_stopped", "sources/evil.lua:3: stopped after 200 ms of computing")
        stopped = stopped + 1
      else
        assert.is_true(answer.status == 429 or answer.status == 503, answer.body)
        assert.equal("busy", answer.json.code)
        assert.equal("1", answer.headers["retry-after"])
        later = later + 1
      end
    end
    assert.equal(5, stopped + later)
    assert.equal(stopped, count("stopped", "evil"))
    local function settled(body)
      local answer
      harness.wait("an answer", function()
        answer = post("evil", body)
        return answer.status ~= 503 and answer.status ~= 429
      end)
      return answer
    end
    assert.equal(400, settled('{"id":"h","kind":"hoard"}').status)
    taken(settled '{"id":"good"}', 1)
  end)

  it("that were stopped leave each payload of the request to be mapped again", function()
    local path = "signals/b2b/sources/evil.lua"
    local policies = harness.policies { [path] = [[
      local s = require "source"
      return s.source "evil" { owner = "o", rationale = "r", messageId = s.pick "id", userId = "evil", rules = {
        s.rule "loop" { when = { kind = "loop" }, event = s.custom("c", { why = "w" }, function() while true do end end) },
        s.rule "rest" { event = "Trial Started" } } }]] }
    start { policies = policies, watch = "no" }
    refused(post("evil", '[{"id":1},{"id":2,"kind":"loop"},{"id":3}]'), 400, "policy_stopped", "evil.lua:3")
    harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 3 end)
    local pipe, ids = io.popen(("'%s/intent' quarantine list --json --data '%s'"):format(harness.bin, daemon.data)), {}
    for line in pipe:lines() do ids[#ids + 1] = line:match '"id":"(%x+)"' end
    pipe:close()
    local admin = daemon:admin()
    local function outcome()
      local decided, stopped = 0, 0
      for _, one in ipairs(admin:must("quarantine.replay", { ids = ids })) do
        if one.decision then decided = decided + 1 else stopped = stopped + 1 end
      end
      return { decided, stopped }
    end
    assert.same({ 2, 1 }, outcome())
    assert.equal(2, decisions_of "evil")
    harness.edit(policies .. "/" .. path, "while true do end", 'return "Trial Started"')
    admin:must "policy.reload"
    assert.same({ 3, 0 }, outcome())
    assert.equal(3, decisions_of "evil")
  end)

  it("give by HTTP and by import the same events, byte for byte", function()
    local bodies = { stripe = { "stripe_checkout.json", "stripe_payment_failed.json" }, product_log = { "product_log.jsonl" },
      salesforce = { "salesforce_changes.jsonl", "salesforce_outbound.json" } }
    local hashes = {}
    for _, way in ipairs { "http", "import" } do
      start { clock = "event", seed = harness.SEED, shards = 1 }
      for source, names in pairs(bodies) do
        for _, name in ipairs(names) do
          if way == "import" then
            os.execute(("%s/intent import --any-clock --source %s --to 127.0.0.1:%d '%s' >/dev/null 2>&1"):format(
              harness.bin, "b2b/" .. source, daemon.ports.listen, FIXTURES .. name))
          else
            local body = fixture(name)
            for line in (name:find "jsonl$" and body or body:gsub("\n", " ") .. "\n"):gmatch "([^\n]+)\n?" do
              local send = source == "stripe" and stripe or source == "salesforce" and salesforce
              if send then send(line) else post(source, line) end
            end
          end
        end
      end
      hashes[way] = {}
      for _, who in ipairs { "u-4711", "stripe-cus_QXg1o8vcGmoR32", "u1", "u-33", "salesforce-0035e000003AAA2AAO",
        "salesforce-00Q5e00000QwErtEAF" } do
        local explained = client:must("decision.explain", who)
        hashes[way][#hashes[way] + 1] = { who, explained.decision.hash, explained.event, decisions_of(who) }
      end
      daemon:stop()
    end
    assert.same(hashes.http, hashes.import)
  end)
end)
