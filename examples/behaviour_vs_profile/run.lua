--- Does behaviour foretell more than the profile? From raw files to the answer: every event goes through the daemon, rows come
--- from its journal, `intent train` makes models of the profile alone, of behaviour alone and of both, and the trained
--- model then decides online, where its scores must be those of training to the bit. README.md says how to run it.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. here .. "/../demo/?.lua;" .. package.path
local daemon = require "daemon"

local ROOT = os.getenv "INTENTD_ROOT" or daemon.capture("realpath", here .. "/../.."):gsub("%s+$", "")
local BIN = os.getenv "INTENTD_BIN" or ROOT .. "/build/release/bin"

-- What is told of each: where its events come from, when a lead is scored, and by what the test begins.
local STUDIES = {
  {
    option = "bank",
    title = "Loan applications of a bank",
    policy = "application_day",
    set = "applications",
    source = ROOT .. "/policies/signals/loans/sources/bank.lua",
    label = "approved",
    where = { "stage_before=open", "stage=scored" },
    split = "2012-01-14T23:00:00Z", -- midnight in Amsterdam
    registered = "submitted_ago", -- a lead's part goes by when it was registered, a day or more before it was scored
    outcomes = { "A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED", "O_ACCEPTED", "O_CANCELLED", "O_DECLINED" },
  },
  {
    option = "shop",
    title = "Sessions of an online shop",
    policy = "shop_session",
    set = "shop_sessions",
    source = "shop_sessions/shop",
    label = "bought",
    where = { "stage_before=visiting", "stage=scored" },
    split = "2017-11-01T00:00:00Z",
    prepare = function(from, to)
      local pipe = assert(io.popen(("gzip -dcf '%s'"):format(from))) -- what is not packed comes as it is
      local file = assert(io.open(to, "w"))
      require "sessions"(pipe:lines(), file)
      file:close()
      pipe:close()
    end,
    outcomes = { "Purchased", "Left" },
  },
}

local function say(text, ...) io.stderr:write(text:format(...), "\n") end

local function fail(text, ...) error(text:format(...), 0) end

--- Runs a command of the tool; its standard output, or its complaint as an error.
local function intent(...)
  local errors = os.tmpname()
  local words = { BIN .. "/intent", ... }
  for i, word in ipairs(words) do
    words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
  end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>" .. errors .. "; echo \"code $?\"", "r"))
  local text, code = pipe:read("*a"):match "^(.*)code (%d+)\n$"
  pipe:close()
  local complaint = daemon.read(errors)
  os.remove(errors)
  if code ~= "0" then fail("intent %s %s: %s", (...), select(2, ...), complaint) end
  return text
end

-- ---- rows ----

local function cells_of(line)
  local cells = {}
  for cell in (line .. ","):gmatch "([^,]*)," do
    cells[#cells + 1] = cell
  end
  return cells
end

--- A file of rows without quoted cells: {head = {names}, place = {name = column}, each row a list of cells}.
local function read_rows(text)
  local rows
  for line in text:gmatch "[^\n]+" do
    local cells = cells_of(line)
    if rows then
      rows[#rows + 1] = cells
    else
      rows = { head = cells, place = {} }
      for i, name in ipairs(cells) do
        rows.place[name] = i
      end
    end
  end
  return rows
end

local function write_rows(rows, path)
  local lines = { table.concat(rows.head, ",") }
  for i, row in ipairs(rows) do
    lines[i + 1] = table.concat(row, ",")
  end
  daemon.write(path, table.concat(lines, "\n") .. "\n")
end

--- Moves each row's time to when the lead was registered: the split then goes by that.
local function by_registration(rows, since)
  for _, row in ipairs(rows) do
    row[rows.place.at] = ("%.0f"):format(tonumber(row[rows.place.at]) - tonumber(row[rows.place[since]]))
  end
end

-- ---- the steps ----

--- No feature hears how a lead ended, nor anything that follows from it; by what the engine says of each feature.
local function check_leaks(study, policies)
  local policy = policies .. "/" .. study.policy
  for name in intent("feature", "list", "--policy", policy, "--json"):gmatch '{"name":"([^"]+)"' do
    local hears = intent("feature", "lineage", name, "--policy", policy, "--json")
    for _, event in ipairs(study.outcomes) do
      if hears:find('"' .. event .. '"', 1, true) then fail("feature %s hears %s, which says how it ended", name, event) end
    end
    if hears:find('"on":null', 1, true) and not hears:find('"steps":%[') and hears:find('"made_of":[]', 1, true) then
      fail("feature %s hears every event, also how it ended", name)
    end
  end
end

--- All events through a daemon of its own; returns the rows of the moment that is scored.
local function record(study, folder, policies, events)
  os.execute(("mkdir -p '%s'"):format(folder))
  local d = daemon.new { root = ROOT, bin = BIN, folder = folder, policies = policies, policy = study.policy }
  d:start()
  local ok, result = pcall(function()
    intent("import", "--policies", policies, "--source", study.source, "--sort", "timestamp", "--to", d.address, events)
    local words = { "feature", "export", "--at", "labels", "--data", folder .. "/data" }
    for _, where in ipairs(study.where) do
      words[#words + 1], words[#words + 2] = "--where", where
    end
    return read_rows(intent(unpack(words)))
  end)
  if not ok then
    d:stop()
    error(result, 0)
  end
  return result, d
end

--- The policies with the trained model in place of none.
local function with_model(study, folder, models)
  local policies = folder .. "/policies"
  os.execute(("mkdir -p '%s' && cp -r '%s/policies/.' '%s' && cp -r '%s' '%s/models'"):format(folder, here, policies, models, policies))
  local path = policies .. "/" .. study.policy .. "/policy.lua"
  local text, count = daemon.read(path):gsub("\n  mode = ", ('\n  models = { split = "%s" },\n  mode = '):format(study.policy), 1)
  if count ~= 1 then fail("%s: no place for a model", path) end
  daemon.write(path, text)
  return policies
end

--- What a row's features are, as text: the same text is the same bits.
local function features_of(rows, row)
  local from = 0
  for i, name in ipairs(rows.head) do
    if name:find "^label " then from = i end
  end
  return table.concat(row, ",", from + 1)
end

--- Holds the margins that the daemon decided by against those of training, of `count` decisions that lie evenly among all.
local function compare(rows, scores, online, d, count)
  local margin_of, line = {}, 1
  local offline = {}
  for _, score in ipairs(scores) do
    offline[tonumber(score[scores.place.line])] = tonumber(score[scores.place.margin])
  end
  for _, row in ipairs(rows) do
    line = line + 1
    if offline[line] then margin_of[features_of(rows, row)] = offline[line] end
  end
  local known = {}
  for _, row in ipairs(online) do
    if margin_of[features_of(online, row)] then known[#known + 1] = row end
  end
  if #known ~= #scores then fail("%d of %d rows have the same features online", #known, #scores) end
  local step = math.max(1, math.floor(#known / count))
  local compared = 0
  for i = 1, #known, step do
    local row = known[i]
    local id = row[online.place.lead] .. "-" .. row[online.place.number]
    local told = intent("explain", id, "--json", "--to", d.address)
    local margin = tonumber(told:match '"models":%b[]' and told:match('"margin":([%d%.eE+-]+)', (told:find '"models":')) or nil)
    local wanted = margin_of[features_of(online, row)]
    if margin ~= wanted then fail("decision %s: margin %s online, %.17g in training", id, tostring(margin), wanted) end
    compared = compared + 1
  end
  return compared
end

-- ---- what came out ----

local MEASURES = { { "auc", "AUC" }, { "average_precision", "average precision" }, { "log_loss", "log loss" }, { "brier", "Brier" },
  { "lift_10", "lift of the first tenth" }, { "gain_20", "share found in the first fifth" } }

-- {"value": …, "low": …, "high": …} of a measure in a piece of the report.
local function measure(piece, name)
  local value, low, high = piece:match('"' .. name .. '":{"value":([^,]+),"low":([^,]+),"high":([^,}]+)}')
  return ("%.3f (%.3f to %.3f)"):format(value, low, high)
end

local function tables(study, report, facts)
  local out = { ("## %s\n"):format(study.title), facts .. "\n", "| | profile | behaviour | both |", "| --- | --- | --- | --- |" }
  local pieces = {}
  for _, group in ipairs { "profile", "behaviour", "both" } do
    pieces[group] = report:match('{"group":"' .. group .. '","written".-"tenths"')
  end
  for _, m in ipairs(MEASURES) do
    out[#out + 1] = ("| %s | %s | %s | %s |"):format(m[2], measure(pieces.profile, m[1]), measure(pieces.behaviour, m[1]),
      measure(pieces.both, m[1]))
  end
  for _, minus in ipairs { "profile", "behaviour" } do
    local piece = report:match('{"group":"both","minus":"' .. minus .. '".-}}}')
    out[#out + 1] = ("%sAUC of both minus that of %s: %s."):format(minus == "profile" and "\n" or "", minus, measure(piece, "auc"))
  end
  return table.concat(out, "\n") .. "\n"
end

local function count_labels(rows, label)
  local counts, column = { ["0"] = 0, ["1"] = 0, [""] = 0 }, rows.place["label " .. label]
  for _, row in ipairs(rows) do
    counts[row[column]] = counts[row[column]] + 1
  end
  return counts
end

local function run(study, file, out, options)
  local folder = out .. "/" .. study.option
  os.execute(("rm -rf '%s' && mkdir -p '%s'"):format(folder, folder))
  local events = file
  if study.prepare then
    events = folder .. "/events.csv"
    study.prepare(file, events)
  end
  local policies = here .. "/policies"
  check_leaks(study, policies)
  say("%s: every event through the daemon", study.option)
  local rows, d = record(study, folder .. "/first", policies, events)
  d:stop()
  if study.registered then by_registration(rows, study.registered) end
  write_rows(rows, folder .. "/rows.csv")
  local labels = count_labels(rows, study.label)
  say("%s: training on %d rows", study.option, #rows)
  local models = folder .. "/models"
  io.stdout:write(intent("train", folder .. "/rows.csv", "--signals", policies .. "/signals/" .. study.set, "--label", study.label,
    "--split", options.split or study.split, "--out", models .. "/" .. study.policy .. "/1", "--scores", folder .. "/scores.csv",
    "--when", options.when, "--rationale", "What a day, or a session, says beside the profile; made by examples/behaviour_vs_profile."))
  say("%s: the model decides: every event once more", study.option)
  local online, second = record(study, folder .. "/second", with_model(study, folder .. "/second", models), events)
  local ok, compared = pcall(compare, rows, read_rows(daemon.read(folder .. "/scores.csv")), online, second, options.compare)
  second:stop()
  if not ok then error(compared, 0) end
  local facts = ("%d leads scored, %d of them %s, %d not, %d with no end in the log (left out). All of their features were the same in a second run,"
    .. "\nand the margins by which the daemon decided %d of them are those of training, bit for bit."):format(#rows, labels["1"], study.label,
    labels["0"], labels[""], compared)
  return tables(study, daemon.read(models .. "/" .. study.policy .. "/1/report.json"), facts)
end

-- ---- the command line ----
local options = { compare = 500, when = os.date "!%Y-%m-%d", out = "behaviour-vs-profile" }
local i = 1
while i <= #arg do
  local name = arg[i]:match "^%-%-(%l+)$"
  if not name or not arg[i + 1] then
    io.stderr:write "usage: luajit run.lua [--bank FILE] [--shop FILE] [--out DIR] [--compare N] [--split T] [--when DAY]\n"
    os.exit(2)
  end
  options[name] = arg[i + 1]
  i = i + 2
end
options.compare = tonumber(options.compare)

local parts = {}
for _, study in ipairs(STUDIES) do
  if options[study.option] then
    local ok, part = pcall(run, study, options[study.option], options.out, options)
    if not ok then
      io.stderr:write(study.option, ": ", tostring(part), "\n")
      os.exit(1)
    end
    parts[#parts + 1] = part
  end
end
if #parts == 0 then
  io.stderr:write "nothing to do: --bank FILE, --shop FILE, or both (README.md)\n"
  os.exit(2)
end
daemon.write(options.out .. "/tables.md", table.concat(parts, "\n"))
say("written: %s/tables.md, and of each a model with its report", options.out)
