-- A bank's real applications (BPI Challenge 2012): every event goes in over TCP in order of time, and what the policy made of it is held
-- against what really happened.
local answers, daemon = require "answers", require "daemon"

local STAGES = { "submitted", "preaccepted", "offer", "offer_quiet", "validating", "approved", "declined", "cancelled" }
local OUTCOME_OF = { A_APPROVED = "approved", A_REGISTERED = "approved", A_ACTIVATED = "approved", A_DECLINED = "declined",
  A_CANCELLED = "cancelled" }
local SPLIT_MS = 1326585600000 -- 2012-01-15: the models have seen what was registered before
local DAY_MS = 86400000

--- The events as the map makes them, in order of time, and what became of each application.
local function load(stage)
  local intent = stage.root .. "/build/release/bin/intent"
  local file = stage.folder .. "/events.jsonl"
  local status = os.execute(("%s import --dry-run --source %s/policies/signals/loans/sources/bank.lua --sort timestamp '%s' >%s"):format(
    intent, stage.root, stage.data, file))
  if status ~= 0 then error("the file could not be read as the bank's log: " .. stage.data, 0) end
  local events, cases, list = {}, {}, {}
  for line in io.lines(file) do
    local user, name = line:match '"userId":"([^"]+)"', line:match '"event":"([^"]+)"'
    local case = cases[user]
    if not case then
      case = { user = user, begun_ms = nil }
      cases[user] = case
      list[#list + 1] = case
    end
    case.outcome = OUTCOME_OF[name] or case.outcome
    events[#events + 1] = { case = case, name = name }
  end
  return file, events, list
end

local function decide(stage, file, events, list)
  local show, d = stage.show, stage.daemon
  show.head(1, "Every event, over TCP", "policy consumer_loans " .. stage.version .. "   MessagePack " .. d.address)
  local out = stage.folder .. "/out.jsonl"
  os.execute(d:intent("send", "--json", file) .. " >" .. out)
  local hashes = {}
  local total, summary = answers.read(out, function(a)
    local event = events[a.line]
    local case = event.case
    case.last, case.seen = a, case.seen or {}
    case.seen[a.stage] = true
    case.begun_ms = case.begun_ms or a.at
    if event.name == "A_PREACCEPTED" then case.preaccepted_ms = a.at end
    if case.preaccepted_ms and a.at <= case.preaccepted_ms + DAY_MS then case.at_24h = a end
    if OUTCOME_OF[event.name] and not case.ended_ms then case.ended_ms = a.at end
    hashes[a.line] = a.hash
  end)
  local seconds = tonumber(summary:match '"seconds":([%d%.]+)')
  show.must(total == #events, ("each of %d events has its decision, not %d"):format(#events, total))
  show.line("%d events of %d applications, every one answered after it was durable: %.1f s, %d a second", total, #list, seconds,
    math.floor(total / seconds))
  return hashes
end

local function stages(stage, list)
  local show = stage.show
  show.head(2, "Stage by stage, against what happened", "columns: the bank's own outcome")
  local table_of, reached, good = {}, {}, {}
  for _, case in ipairs(list) do
    local outcome = case.outcome or "open"
    local row = table_of[case.last.stage] or {}
    table_of[case.last.stage] = row
    row[outcome] = (row[outcome] or 0) + 1
    for name in pairs(case.seen) do
      reached[name] = (reached[name] or 0) + 1
      if outcome == "approved" then good[name] = (good[name] or 0) + 1 end
    end
  end
  show.line("%-14s %8s %8s   %9s %9s %9s %9s", "stage", "reached", "approved", "approved", "declined", "cancelled", "open")
  local wrong = 0
  for _, name in ipairs(STAGES) do
    local row = table_of[name] or {}
    show.line("%-14s %8d %7.1f%%   %9d %9d %9d %9d", name, reached[name] or 0, 100 * (good[name] or 0) / math.max(reached[name] or 0, 1),
      row.approved or 0, row.declined or 0, row.cancelled or 0, row.open or 0)
    for outcome, count in pairs(row) do
      local is_end = name == "approved" or name == "declined" or name == "cancelled"
      if (is_end and outcome ~= name) or (not is_end and outcome ~= "open") then wrong = wrong + count end
    end
  end
  show.line("(left: who was ever there and was approved in the end; right: where each application is now)")
  show.must(wrong == 0, wrong .. " applications are in a stage that their outcome contradicts")
  local function rate(name) return (good[name] or 0) / math.max(reached[name] or 0, 1) end
  show.must(rate "submitted" < rate "preaccepted" and rate "preaccepted" < rate "offer" and rate "offer" < rate "validating",
    "each stage of the journey is nearer to an approval than the one before")
end

local function found(list, key, count)
  table.sort(list, function(a, b)
    if a.at_24h[key] ~= b.at_24h[key] then return a.at_24h[key] > b.at_24h[key] end
    return a.user < b.user
  end)
  local hits = 0
  for i = 1, count do hits = hits + (list[i].outcome == "approved" and 1 or 0) end
  return hits
end

local function worth(stage, list)
  local show = stage.show
  local open, approved = {}, 0
  for _, case in ipairs(list) do
    local late = case.begun_ms >= SPLIT_MS
    local decided = case.ended_ms and case.preaccepted_ms and case.ended_ms <= case.preaccepted_ms + DAY_MS
    if late and case.at_24h and case.outcome and not decided then
      open[#open + 1] = case
      approved = approved + (case.outcome == "approved" and 1 or 0)
    end
  end
  local fifth = math.floor(#open / 5)
  local profile, behaviour, both = found(open, "fit", fifth), found(open, "engagement", fifth), found(open, "combined", fifth)
  show.head(3, "Was it worth it?", ("a day after pre-acceptance, %d applications the models never saw, %d approved later"):format(#open, approved))
  show.line("among the fifth with the highest score (by chance: %d):", math.floor(approved / 5 + 0.5))
  show.bar("profile only", profile, approved)
  show.bar("behaviour", behaviour, approved)
  show.bar("both", both, approved)
  show.must(behaviour > profile, "behaviour finds more approvals than the profile")
end

local function explanation(stage, list)
  local best
  for _, case in ipairs(list) do
    if case.at_24h and case.last.stage == "validating" and (not best or case.last.combined > best.last.combined) then best = case end
  end
  best = best or list[1]
  stage.show.head(4, "Why " .. best.last.action .. " " .. best.user .. "?", "$ intent explain " .. best.user)
  local text = stage.daemon:run("explain", best.user)
  local shown = 0
  for line in text:gmatch "[^\n]+" do
    if line:find "^conditions" then break end
    if shown < 30 then stage.show.line("%s", line) end
    shown = shown + 1
  end
  stage.show.must(text:find "reproduced: yes", "the decision is computed again from the journal, to the byte")
end

local function plug(stage, file, hashes)
  local show, d = stage.show, stage.daemon
  show.head(5, "Pull the plug", "kill -9, start, send all of it once more")
  d:stop(9)
  d:start()
  local ms = d:said():match "event=recovered [^\n]*ms=(%d+)"
  os.execute(d:intent("send", "--json", file) .. " >" .. stage.folder .. "/again.jsonl")
  local same, known = 0, 0
  answers.read(stage.folder .. "/again.jsonl", function(a)
    known = known + (a.duplicate and 1 or 0)
    same = same + (a.hash == hashes[a.line] and 1 or 0)
  end)
  show.must(known == #hashes and same == #hashes, ("every event is known with its decision: %d and %d of %d"):format(known, same, #hashes))
  show.line("back in %.1f s: %d acknowledged, %d found, 0 doubled, decision hashes equal", tonumber(ms) / 1000, #hashes, same)
end

return function(stage)
  io.write("intentd demo: a bank's loan applications, October 2011 to March 2012. Data: a temporary directory, removed at the end\n")
  stage.policies = stage.root .. "/policies"
  local file, events, list = load(stage)
  stage.daemon = daemon.new { root = stage.root, folder = stage.folder, policies = stage.policies, policy = "consumer_loans" }
  stage.daemon:start()
  stage.version = stage.daemon:said():match "event=release [^\n]-version=(%x+)"
  local hashes = decide(stage, file, events, list)
  stages(stage, list)
  worth(stage, list)
  explanation(stage, list)
  plug(stage, file, hashes)
  stage.daemon:stop()
  io.write(("\n%d events, %d decisions, 0 lost. Next: intent test policies/consumer_loans | docs/policy-guide.md\n"):format(#events, #events))
end
