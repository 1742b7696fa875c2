--- Libraries that applications send events with, unmodified, against a daemon (tests/functional/clients).
local json = require "dkjson"
local lfs = require "lfs"

local harness = require "harness"

local folder = harness.root .. "/tests/functional/clients"

-- Why these tests can't run here; nil when they can.
local function missing()
  if os.execute "command -v node >/dev/null 2>&1" ~= 0 then return "node is not installed" end
  if not lfs.attributes(folder .. "/node_modules/@segment/analytics-node", "mode") then
    return "the clients are not installed: run npm ci in tests/functional/clients"
  end
end

local function run(script, ...)
  local words = { "node", folder .. "/" .. script }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
  local pipe = io.popen(table.concat(words, " ") .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return assert(json.decode(text), text)
end

-- busted's own way to leave a test out, with its reason.
local function it_with_node(name, body)
  it(name, function()
    local why = missing()
    if why then pending(why) else body() end
  end)
end

describe("clients", function()
  after_each(harness.finish)

  describe("@segment/analytics-node", function()
    it_with_node("delivers every kind of call", function()
      local daemon = harness.start { flags = { "--write_key", "node-key=backend" } }
      local client = daemon:connect()
      local out = run("segment.js", "http://127.0.0.1:" .. daemon.ports.http, "node-key", "40")
      assert.same({}, out.errors)
      local types, count = {}, 0
      for _, call in pairs(out.calls) do
        assert.is_true(call.delivered, call.reason)
        types[call.type] = (types[call.type] or 0) + 1
        count = count + 1
      end
      assert.equal(47, count)
      assert.same({ track = 42, identify = 1, page = 1, screen = 1, group = 1, alias = 1 }, types)
      -- What visitor-1 did before is hers, and so is old-ada, as a userId and as an anonymousId.
      harness.wait("three merges", function() return daemon:metric "intentd_merges_total" == 3 end)
      local lead, event = client:must("lead.get", "ada").lead
      assert.equal(lead.lead, client:must("lead.get", "visitor-1").lead.lead)
      for number = 1, lead.decisions do
        local told = client:must("decision.explain", lead.lead .. "-" .. number).event
        if type(told) == "table" and told.event == "Demo Requested" then event = told end
      end
      assert.equal("backend", event.context.source)
      assert.equal("203.0.113.7", event.context.ip)
      assert.equal("@segment/analytics-node", event.context.library.name)
      assert.is_truthy(out.calls[event.messageId])
      for i = 0, 39 do assert.equal(1, client:must("lead.get", "many-" .. i).lead.decisions) end
      assert.equal(0, daemon:metric "intentd_refused_total")
    end)

    it_with_node("sees what is refused", function()
      local daemon = harness.start { flags = { "--write_key", "node-key=backend" } }
      local out = run("segment.js", "http://127.0.0.1:" .. daemon.ports.http, "another-key")
      assert.is_true(#out.errors > 0)
      for _, call in pairs(out.calls) do assert.is_false(call.delivered) end
      assert.equal(0, daemon:metric "intentd_events_total")
    end)

    it_with_node("knows what a daemon that starts late has taken", function()
      local daemon = harness.start()
      daemon:stop()
      local port = daemon.ports.http
      local pipe = io.popen(("node '%s/segment.js' 'http://127.0.0.1:%d' key 20"):format(folder, port))
      daemon:restart { http = "127.0.0.1:" .. port }
      local out = json.decode(pipe:read "*a")
      pipe:close()
      local delivered = 0
      for _, call in pairs(out.calls) do delivered = delivered + (call.delivered and 1 or 0) end
      assert.equal(delivered, daemon:metric "intentd_events_total" + daemon:metric "intentd_refused_total")
    end)
  end)

  describe("@fluent-org/logger", function()
    for _, mode in ipairs { "Message", "Forward", "PackedForward", "CompressedPackedForward" } do
      it_with_node("is acknowledged in mode " .. mode, function()
        local daemon = harness.start()
        local client = daemon:connect()
        local out = run("fluent.js", tostring(daemon.ports.listen), mode, "30")
        assert.same({}, out.failed)
        assert.equal(30, out.acknowledged)
        assert.equal(30, daemon:metric "intentd_events_total")
        for i = 0, 2 do assert.equal(10, client:must("lead.get", "fluent-" .. i).lead.decisions) end
        local event = client:must("decision.explain", "fluent-0").event
        assert.equal("Pricing Viewed", event.event)
        assert.equal("track", event.type)
        assert.is_truthy(event.messageId)
      end)
    end

    it_with_node("shakes hands with a shared key", function()
      local daemon = harness.start { forward_key = "a shared secret" }
      local out = run("fluent.js", tostring(daemon.ports.forward), "PackedForward", "5", "a shared secret")
      assert.equal(5, out.acknowledged)
      assert.equal(5, daemon:metric "intentd_events_total")
    end)

    it_with_node("is kept out with another key", function()
      local daemon = harness.start { forward_key = "a shared secret" }
      local out = run("fluent.js", tostring(daemon.ports.forward), "PackedForward", "5", "a guess")
      assert.equal(0, out.acknowledged)
      assert.equal(0, daemon:metric "intentd_events_total")
    end)
  end)
end)
