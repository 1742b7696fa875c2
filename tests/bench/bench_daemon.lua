--- What boosted trees cost a running daemon: the simulator's people go in over TCP, decided by b2b_saas as shipped (two scorecards)
--- and then with 100 trees of depth 6 over 18 features as its engagement model. The trees are made up: they ask about
--- values that the first run's decisions had, so that leads part at every step. Prints, of each run, the time of a decision on
--- its shard (intentd_hop_decide_seconds), the daemon's CPU an event, and bytes of journal an event; then medians and ratios.
---   luajit tests/bench/bench_daemon.lua [LEADS [ROUNDS]]      (3000, 3: half a minute)
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/../../examples/demo/?.lua;" .. here .. "/../functional/?.lua;" .. package.path
local daemon = require "daemon"
local trees = require "trees"

local ROOT = os.getenv "INTENTD_ROOT" or daemon.capture("realpath", here .. "/../.."):gsub("%s+$", "")
local BIN = os.getenv "INTENTD_BIN" or ROOT .. "/build/release/bin"
local LEADS, ROUNDS = tonumber(arg[1]) or 3000, tonumber(arg[2]) or 3
local TREES, DEPTH = 100, 6
local FEATURES = { "demo_ago", "email_clicks_7d", "usage_7d", "usage_velocity_7d", "active_days", "features_tried", "invites_30d",
  "evaluation_depth", "integrations", "talks_30d", "interest", "idle", "page_views_7d", "sessions", "pricing_views_7d",
  "pricing_velocity_7d", "docs_views_30d", "case_studies_30d" }

local function run(...)
  local text = daemon.capture(...)
  if text:find("^intent [%l ]+: ") then error(text, 0) end
  return text
end

-- ---- trees ----
local seed = 7
local function below(n) -- 0 … n - 1, the same each time
  seed = (seed * 16807) % 2147483647
  return seed % n
end

--- A full tree; node i has the children 2i + 1 and 2i + 2. `values`: of each feature, what decisions had.
local function tree(values)
  local inner, all = 2 ^ DEPTH - 1, 2 ^ (DEPTH + 1) - 1
  local list = {}
  local function put(name, x)
    list[name] = list[name] or {}
    table.insert(list[name], ("%.9g"):format(x))
  end
  local weight = 2 ^ DEPTH
  for i = 0, all - 1 do
    local is_leaf = i >= inner
    local feature = below(#FEATURES)
    local seen = values[feature + 1]
    put("left_children", is_leaf and -1 or 2 * i + 1)
    put("right_children", is_leaf and -1 or 2 * i + 2)
    put("split_indices", is_leaf and 0 or feature)
    put("split_conditions", is_leaf and (below(2001) - 1000) / 20000 or seen[below(#seen) + 1])
    put("sum_hessian", weight)
    put("default_left", is_leaf and 0 or below(2))
    put("split_type", 0)
    if math.log(i + 2) / math.log(2) % 1 == 0 then weight = weight / 2 end -- the last of its level
  end
  local keys = {}
  for name, numbers in pairs(list) do keys[#keys + 1] = ('"%s": [%s]'):format(name, table.concat(numbers, ", ")) end
  table.sort(keys)
  return table.concat(keys, ", ") .. ', "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": []'
end

local function cells_of(line)
  local cells = {}
  for cell in (line .. ","):gmatch "([^,]*)," do cells[#cells + 1] = cell end
  return cells
end

--- Of each feature the values in every hundredth of a directory's decisions.
local function values_of(data)
  local pipe = assert(io.popen(("'%s/intent' feature export --at decisions --data '%s' 2>/dev/null"):format(BIN, data)))
  local column, values, number = {}, {}, 0
  for i, name in ipairs(cells_of((pipe:read "*l"))) do column[name] = i end
  for i in ipairs(FEATURES) do values[i] = {} end
  for line in pipe:lines() do
    number = number + 1
    local cells = number % 100 == 0 and cells_of(line) or {}
    for i, name in ipairs(FEATURES) do
      local x = tonumber(cells[column[name]])
      if x then table.insert(values[i], x) end
    end
  end
  pipe:close()
  for i, name in ipairs(FEATURES) do
    if #values[i] == 0 then error(name .. " is known of nobody: more leads are needed", 0) end
  end
  return values
end

local function put_trees(policies, values)
  local list, features = {}, {}
  for i = 1, TREES do list[i] = tree(values) end
  for i, name in ipairs(FEATURES) do features[i] = ('{"name": "%s", "definition": null}'):format(name) end
  local weights = trees.booster(#FEATURES, list)
  run("mkdir", policies .. "/models/b2b_engagement/2")
  daemon.write(policies .. "/models/b2b_engagement/2/weights.json", weights)
  daemon.write(policies .. "/models/b2b_engagement/2/model.json", trees.head("b2b_engagement", "2", weights, features))
end

-- ---- a run ----
local function figure(text, name) -- with labels (a line a shard) or without
  local sum = 0
  for labels, value in text:gmatch("\n" .. name .. "(%S*) ([%d.e+-]+)") do
    if labels == "" or labels:find "^{" then sum = sum + tonumber(value) end
  end
  return sum
end

local function cpu_seconds(pid)
  local fields = daemon.read("/proc/" .. pid .. "/stat"):match "%) (.*)$"
  local user, system = fields:match("^%S+" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  return (tonumber(user) + tonumber(system)) / 100
end

--- A new daemon takes the events; what it cost, and its folder.
local function measure(name, work, policies, events)
  local folder = work .. "/" .. name
  run("mkdir", folder)
  local d = daemon.new { root = ROOT, bin = BIN, folder = folder, policies = policies, policy = "b2b_saas",
    more = "--shards 1 --sync interval --journal.seal no --watch no" }
  d:start()
  local before = cpu_seconds(d.pid)
  local said = d:run("send", events)
  if not said:find "refused +0" then d:stop() error(said, 0) end
  local page = d:page "/metrics"
  local count = figure(page, "intentd_hop_decide_seconds_count")
  local result = { decide = figure(page, "intentd_hop_decide_seconds_sum") / count * 1e6, cpu = (cpu_seconds(d.pid) - before) / count * 1e6,
    journal = figure(page, "intentd_journal_bytes_total") / count, count = count, data = folder .. "/data" }
  d:stop()
  return result
end

local function median(list, key)
  local numbers = {}
  for i, r in ipairs(list) do numbers[i] = r[key] end
  table.sort(numbers)
  return numbers[math.floor(#numbers / 2) + 1]
end

local work = daemon.capture("mktemp", "-d"):gsub("%s+$", "")
local fine, fault = pcall(function()
  local events, runs = work .. "/events.jsonl", { shipped = {}, trees = {} }
  os.execute(("'%s/intent' simulate --leads %d >'%s'"):format(BIN, LEADS, events))
  run("cp", "-r", ROOT .. "/policies", work .. "/shipped")
  run("cp", "-r", ROOT .. "/policies", work .. "/trees")
  print(("%-10s %10s %16s %14s %18s"):format("", "events", "decide, us", "CPU, us", "journal, bytes"))
  for round = 1, ROUNDS do
    for _, name in ipairs { "shipped", "trees" } do
      local folder = name .. "-" .. round
      local result = measure(folder, work, work .. "/" .. name, events)
      if round == 1 and name == "shipped" then put_trees(work .. "/trees", values_of(result.data)) end
      table.insert(runs[name], result)
      print(("%-10s %10d %16.1f %14.1f %18.0f"):format(name, result.count, result.decide, result.cpu, result.journal))
      run("rm", "-r", work .. "/" .. folder)
    end
  end
  for _, key in ipairs { "decide", "cpu", "journal" } do
    local a, b = median(runs.shipped, key), median(runs.trees, key)
    print(("%-10s %.1f and %.1f: %.2f x"):format(key, a, b, b / a))
  end
end)
run("rm", "-r", work)
if not fine then error(fault, 0) end
