--- docs/protocol.md and docs/operations.md against a running daemon: each method, error code, key, option and metric is
--- there, and nothing that is not.
local harness = require "harness"
local http = require "http"

local function page(name) return assert(harness.read(harness.root .. "/docs/" .. name)) end

-- What stands in `…` in the first column of a page's tables, under a heading.
local function first_column(text, heading)
  local begin = "\n#+ " .. heading .. "\n"
  local section = assert(text:match(begin .. "(.-)\n#+ ") or text:match(begin .. "(.*)$"), heading)
  local names = {}
  for row in section:gmatch "\n(|[^\n]*)" do
    for name in row:match("^|([^|]*)|"):gmatch "`([^`]+)`" do names[#names + 1] = name end
  end
  return names
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("documentation", function()
  after_each(harness.finish)

  it("lists the methods and the keys of what they answer", function()
    local protocol = page "protocol.md"
    local daemon = harness.start()
    local client, admin = daemon:connect(), daemon:admin()
    local known = {}
    for _, heading in ipairs { "Events", "Questions", "Forgetting", "For sales", "Quarantine", "The daemon" } do
      for _, name in ipairs(first_column(protocol, heading)) do
        known[name] = true
        local _, err = admin:call(name, 1, 2, 3) -- too many: so that nothing happens
        assert.equal("invalid_argument", err.code, name)
      end
    end
    local _, err = client:call "no.such"
    for name in err.detail:gmatch "%l+%.%l+" do
      if name ~= "no.such" then assert.is_true(known[name], name .. " is not in protocol.md") end
    end
    local decision = client:must("event.ingest", harness.event())
    local keys = {}
    for key in pairs(decision) do keys[#keys + 1] = key end
    local documented = first_column(protocol, "The decision")
    for i = #documented, 1, -1 do -- the second table is about the kinds of reasons
      if documented[i] == "duplicate" then break end
      documented[i] = nil
    end
    for i = #documented, 1, -1 do -- what is there only of some policies
      local is_sometimes = protocol:find("\n| `" .. documented[i] .. "` | only of ", 1, true)
      if is_sometimes and decision[documented[i]] == nil then table.remove(documented, i) end
    end
    assert.same(sorted(keys), sorted(documented))
    local function named(name, answer)
      local braces = assert(protocol:match("\n| `" .. name:gsub("%.", "%%.") .. "` |[^{\n]*`(%b{})"), name)
      for key in pairs(answer) do assert.is_truthy(braces:find(key, 1, true), name .. ": " .. key) end
    end
    named("server.info", client:must "server.info")
    named("policy.status", client:must "policy.status")
    named("lead.get", client:must("lead.get", "u1"))
    local lead = protocol:match "`lead` is `(%b{})`"
    for key in pairs(client:must("lead.get", "u1").lead) do assert.is_truthy(lead:find(key, 1, true), key) end
    keys = {}
    for key in pairs(client:must("decision.explain", "u1")) do keys[#keys + 1] = key end
    assert.same(sorted(keys), sorted(first_column(protocol, "decision.explain")))
  end)

  it("lists the error codes and the metrics", function()
    local daemon = harness.start()
    local text = http.request(daemon.ports.http, "GET", "/metrics").body
    local codes, families = {}, {}
    for code in text:gmatch 'intentd_errors_total{code="([^"]+)"}' do codes[#codes + 1] = code end
    for name in text:gmatch "# TYPE (%S+)" do families[#families + 1] = name end
    assert.same(sorted(codes), sorted(first_column(page "protocol.md", "Errors")))
    assert.same(sorted(families), sorted(first_column(page "operations.md", "Metrics")))
  end)

  it("lists the options with their defaults", function()
    local rows = {}
    local options = assert(page("operations.md"):match "\n| option |.-\n\n")
    for name, default in options:gmatch "\n| `([%l_.]+)` | ([^|]-) |[^|\n]*|[^|\n]*|" do
      rows[name] = default
    end
    local help, count = io.popen(harness.bin .. "/intentd --help"), 0
    local option
    for line in help:lines() do
      option = line:match "^  %-%-(%S+)" or option
      local default = line:match "; default (.*)$"
      if default then
        assert.equal(default, rows[option], option)
        rows[option] = nil
        count = count + 1
      end
    end
    help:close()
    assert.is_true(count > 40)
    rows.write_key, rows.source_secret = nil, nil -- they have no default
    assert.is_nil(next(rows), "operations.md has an option that is none: " .. tostring(next(rows)))
  end)

  it("names every line of the log", function()
    local logs = {}
    for _, name in ipairs(first_column(page "operations.md", "Logs")) do logs[name] = true end
    local daemon = harness.start()
    daemon:hup()
    harness.wait("the reload", function() return daemon:log():find("reload_unchanged", 1, true) end)
    daemon:stop()
    for event in daemon:log():gmatch "event=(%S+)" do
      assert.is_true(logs[event], event .. " is not in operations.md")
    end
  end)
end)
