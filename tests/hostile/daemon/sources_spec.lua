--- Hostile payloads for each shipped source, made of its fixtures by chance (the seed is printed; SEED= repeats it, PAYLOADS=
--- says how many): every answer is one of those that are documented, what was taken is taken once, also when it is sent
--- again, replayed out of the quarantine, and after a kill in the midst of that; and nothing of it is in the log.
local harness = require "harness"
local http = require "http"

local FIXTURES = harness.root .. "/policies/signals/b2b/sources/fixtures/"
local FILES = {
  hubspot = { "hubspot_contacts.json", "hubspot_deals.json", "hubspot_merge.json" },
  stripe = { "stripe_checkout.json", "stripe_invoice_paid.json", "stripe_payment_failed.json", "stripe_subscription_created.json",
    "stripe_subscription_deleted.json" },
  salesforce = { "salesforce_changes.jsonl", "salesforce_lead_created.json", "salesforce_outbound.json" },
  product_log = { "product_log.jsonl" },
}
local SOURCES = { "hubspot", "stripe", "salesforce", "product_log" }
local MARK = "n0body-may-l0g-this"

local VALUES = { "null", "true", "false", "0", "-1", "-0.0", "1.5", "1e15", "1e16", "9007199254740991", "9007199254740993",
  "-9007199254740993", "9223372036854775807", "18446744073709551615", "1e308", "1e999", "1e-320", '""', '" "', '"\\u0000"',
  '"\\ud800"', '"\255\254"', '"1"', '"01"', '"NaN"', '"1e999"', '"0x10"', '"1.234,5"', '"\\u202e"', "[]", "{}", "[1]", "[[]]",
  '{"a":1}', '{"1":"x"}', '{"__index":1}', '{"":{"":null}}', '"2026-02-30"', '"9999-12-31T23:59:59.999Z"', '"0001-01-01"',
  "253402300800000", "-62135596800001", '"1767603600123"', "1767603600.5", "NaN", "'x'", "" }

describe("hostile payloads of a source", function()
  after_each(harness.finish)

  it("are taken once or refused, whatever they are", function()
    local seed = tonumber(os.getenv "SEED") or os.time()
    print(("SEED=%d"):format(seed))
    local random = harness.random(seed)
    for _ = 1, 10 do random(2) end
    local function one_of(list) return list[random(#list)] end
    local function nested()
      local n = random(40)
      return random(2) == 1 and ("["):rep(n) .. ("]"):rep(n) or ('{"a":'):rep(n) .. "1" .. ("}"):rep(n)
    end
    local function hostile()
      local kind = random(12)
      if kind == 1 then return nested() end
      if kind == 2 then return '"' .. ("a"):rep(random(70000)) .. '"' end
      if kind == 3 then return "[" .. ("1,"):rep(random(3000)) .. "1]" end
      if kind == 4 then return '"' .. MARK .. random(5) .. '"' end
      return one_of(VALUES)
    end
    -- Puts something in place of a value, a key, or anything at all.
    local function mutated(text)
      for _ = 1, random(3) do
        local places = {}
        for at in text:gmatch '():%s*["%d%[{tfn]' do places[#places + 1] = at end
        local kind = random(10)
        if kind <= 6 and #places > 0 then
          local at = one_of(places)
          local last = text:match('^:%s*"[^"]*()', at) or text:match("^:%s*[%w.+-]+()", at) or at + 1
          if text:sub(last, last) == '"' then last = last + 1 end
          text = text:sub(1, at) .. hostile() .. text:sub(last)
        elseif kind == 7 and #places > 0 then -- the same key again
          local at = one_of(places)
          local key = text:sub(1, at - 1):match '"[^"]*"%s*$'
          text = key and text:sub(1, at) .. "1," .. key .. text:sub(at) or text
        elseif kind == 8 then
          local from = random(#text)
          text = text:sub(1, from - 1) .. text:sub(from + random(30))
        elseif kind == 9 then
          local at = random(#text)
          text = text:sub(1, at - 1) .. string.char(random(256) - 1) .. text:sub(at + 1)
        else
          text = "[" .. text .. "," .. hostile() .. "]"
        end
        if text == "" then text = "x" end
      end
      return text
    end

    local policies = harness.policies()
    for _, name in ipairs { "hubspot", "stripe", "salesforce" } do -- no signatures: they are tested elsewhere
      local path = policies .. "/signals/b2b/sources/" .. name .. ".lua"
      harness.write(path, (harness.read(path):gsub('\n  sign = [^\n]+', "", 1)))
    end
    local daemon = harness.start { policies = policies, watch = "no", clock = "event" }
    local bodies = {}
    for source, names in pairs(FILES) do
      bodies[source] = {}
      for _, name in ipairs(names) do
        local text = harness.read(FIXTURES .. name)
        if not name:find "jsonl$" then text = text:gsub("\n", " ") end
        for line in (text .. "\n"):gmatch "([^\n]+)\n+" do table.insert(bodies[source], line) end
      end
    end

    local sent = {}
    local function post(source, body)
      local answer = http.request(daemon.ports.http, "POST", "/v1/source/" .. source, body)
      local known = answer.status == 200 or answer.status == 400 or answer.status == 413
      assert(known and type(answer.json) == "table", ("%s: %d %s; of %s"):format(source, answer.status, answer.body, body:sub(1, 2000)))
      if answer.status == 200 then assert(answer.json.events + #(answer.json.skipped or {}) > 0) end
      if answer.status ~= 200 then assert(#answer.json.detail > 0 and answer.json.code) end
      return answer.status, answer.json.events or 0, answer.json.refused and #answer.json.refused or 0
    end
    local function again(from) -- all that was taken is found
      for i = from, #sent do
        local one = sent[i]
        local before = daemon:metric "intentd_duplicates_total"
        local status, events, refused = post(one.source, one.body)
        local found = daemon:metric "intentd_duplicates_total" - before
        local what = ("first %d, %d events, %d refused; then %d, %d, %d, and %d known; %s: %s"):format(one.status, one.events,
          one.refused, status, events, refused, found, one.source, one.body:sub(1, 2000))
        -- Made of the same fixture, another one may have its messageId, and be taken where this one was too large.
        local is_same = events + refused == one.events + one.refused and events >= one.events
        assert(is_same and (status == one.status or status == 200) and found >= events, what)
      end
    end
    for i = 1, tonumber(os.getenv "PAYLOADS") or 150 do
      local source = one_of(SOURCES)
      local body = mutated(one_of(bodies[source]))
      local status, events, refused = post(source, body)
      sent[i] = { source = source, body = body, status = status, events = events, refused = refused }
      if i % 50 == 0 then again(i - 10) end
    end

    local function quarantined()
      local ids = {}
      local pipe = io.popen(("'%s/intent' quarantine list --json --data '%s'"):format(harness.bin, daemon.data))
      for id in pipe:read("*a"):gmatch '"id":"(%x+)"' do ids[#ids + 1] = id end
      pipe:close()
      return ids
    end
    local ids = quarantined()
    assert.is_true(#ids > 10)
    local admin = daemon:admin()
    local function replay(from)
      local some = {}
      for i = from, math.min(from + 19, #ids) do some[#some + 1] = ids[i] end
      return admin:send("quarantine.replay", { ids = some }), some
    end
    for from = 1, #ids, 20 do
      local call, some = replay(from)
      if from == 21 then -- in the midst of it, somewhere
        require("socket").sleep(random(20) / 1000)
        daemon:kill()
        daemon:restart()
        admin = daemon:admin()
        call, some = replay(from)
      end
      local answer = admin:answer(call)
      assert.is_nil(answer.error)
      assert.equal(#some, #answer.result)
      for _, one in ipairs(answer.result) do assert.is_truthy(one.decision or one.error) end
    end
    daemon:kill()
    daemon:restart()
    again(1)
    assert.is_nil(daemon:log():find(MARK, 1, true))
    daemon:stop()
    local pipe = io.popen(("'%s/intent' journal verify --data '%s' 2>&1; echo $?"):format(harness.bin, daemon.data))
    local said = pipe:read "*a"
    pipe:close()
    assert.is_truthy(said:find "\n0\n$", said)
  end)
end)
