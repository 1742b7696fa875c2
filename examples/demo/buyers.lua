-- Simulated B2B buyers: events become decisions, one is explained, a policy changes while events flow, the plug is pulled, and at the
-- end behaviour is held against the profile.
local answers, daemon = require "answers", require "daemon"

local LEADS, DAYS, SEED = 2000, 60, 7
local STAGES = { "visitor", "engaged", "nurture", "mql", "sql", "opportunity", "customer" }
local START_MS = 1767225600000 -- the simulator's first day, 2026-01-01
local DAY_MS = 86400000

local function first_line(text, pattern)
  for line in text:gmatch "[^\n]+" do
    if line:find(pattern) then return (line:gsub("^%s+", "")) end
  end
end

--- Makes the events and deals them out by day: up to 20, to 40, to 50, to the end.
local function simulate(stage)
  local folder = stage.folder
  local intent = stage.root .. "/build/release/bin/intent"
  os.execute(("%s simulate --seed %d --leads %d --days %d --truth %s/truth.csv >%s/all.jsonl"):format(intent, SEED, LEADS, DAYS, folder, folder))
  local ends, parts, counts = { 20, 40, 50, 1e9 }, {}, { 0, 0, 0, 0 }
  for i = 1, 4 do parts[i] = assert(io.open(("%s/part%d.jsonl"):format(folder, i), "w")) end
  local at = 1
  for line in io.lines(folder .. "/all.jsonl") do
    local day = (tonumber(line:match '"timestamp":(%d+)') - START_MS) / DAY_MS
    while day >= ends[at] do at = at + 1 end
    parts[at]:write(line, "\n")
    counts[at] = counts[at] + 1
  end
  for i = 1, 4 do parts[i]:close() end
  local truth = {}
  for line in io.lines(folder .. "/truth.csv") do
    local user, buys, when = line:match "^([^,]*),([01]),([^,]*)"
    if user then truth[user] = { buys = buys == "1", when = when } end
  end
  return counts, truth
end

--- Who sent each line of a part: the userId, where there is one.
local function users_of(folder, part)
  local users = {}
  for line in io.lines(("%s/part%d.jsonl"):format(folder, part)) do
    users[#users + 1] = line:match '"userId":"([^"]+)"' or false
  end
  return users
end

local function tally(leads)
  local counts = {}
  for _, lead in pairs(leads) do counts[lead.stage] = (counts[lead.stage] or 0) + 1 end
  local words = {}
  for _, name in ipairs(STAGES) do words[#words + 1] = ("%s %d"):format(name, counts[name] or 0) end
  return table.concat(words, "  ")
end

--- Takes in a file of answers: every lead's last decision, under its name.
local function take(folder, part, out, leads, users)
  local names = users_of(folder, part)
  local total, summary = answers.read(out, function(d)
    d.user = names[d.line]
    leads[d.lead] = d
    if d.user then users[d.user] = d end
  end)
  return total, summary
end

local function send(stage, part)
  local out = ("%s/out%d.jsonl"):format(stage.folder, part)
  os.execute(stage.daemon:intent("send", "--json", ("%s/part%d.jsonl"):format(stage.folder, part)) .. " >" .. out)
  return out
end

-- ---- 1 ----

local function decisions(stage, counts, leads, users)
  local show = stage.show
  show.head(1, "Behaviour becomes decisions", "policy b2b_saas " .. stage.version .. "   MessagePack " .. stage.daemon.address)
  for part, day in ipairs { 20, 40 } do
    local out = send(stage, part)
    local total = take(stage.folder, part, out, leads, users)
    show.must(total == counts[part], ("each of %d events has its decision, not %d"):format(counts[part], total))
    for line in io.lines(out) do
      if line:find '"decision"' then show.must(answers.sums(line), "the reasons sum to the score: " .. line) end
    end
    show.line("day %d   %s", day, tally(leads))
  end
  show.line("every score of %d decisions is the sum of its reasons, to the thousandth of a point", counts[1] + counts[2])

  local hot, polite, held
  for _, d in pairs(users) do
    if d.owner and d.stage == "sql" and d.action == "call" and (not hot or d.combined > hot.combined) then hot = d end
    if not d.held and d.stage == "engaged" and (not polite or d.fit - d.engagement > polite.fit - polite.engagement) then polite = d end
    if d.held == "hold_out" and (not held or d.combined > held.combined) then held = d end
  end
  show.must(hot and polite, "somebody is to be called, and somebody has only a profile")
  show.line("%-34s %-10s %5s %7s %6s  %-7s %s", "lead", "stage", "fit", "engaged", "score", "owner", "next action")
  for _, row in ipairs { { hot, "" }, { polite, "   great profile, no interest" }, { held, "   hold-out group" } } do
    local d = row[1]
    if d then
      show.line("%-34s %-10s %5.1f %7.1f %6.1f  %-7s %s%s", d.user, d.stage, d.fit, d.engagement, d.combined, d.owner or "-", d.action, row[2])
    end
  end
  return hot
end

-- ---- 2 ----

local function explanation(stage, hot)
  local show = stage.show
  show.head(2, "Why " .. hot.action .. " " .. hot.user .. "?", "$ intent explain " .. hot.user)
  local text = stage.daemon:run("explain", hot.user)
  local shown, skip = 0, false
  for line in text:gmatch "[^\n]*" do
    if line:find "^features" or line:find "^event" then skip = true end
    if line:find "^reproduced" then skip = false end
    if not skip and line ~= "" and shown < 44 and not line:find "^  %-" and not line:find "^versions" then
      show.line("%s", line)
      shown = shown + 1
    end
  end
  show.must(text:find "reproduced: yes", "the decision is computed again from the journal, to the byte")
end

-- ---- 3 ----

local function change(stage, counts, leads, users)
  local show, d = stage.show, stage.daemon
  local path = stage.policies .. "/b2b_saas/policy.lua"
  local before = daemon.read(path)
  local old = 'go "mql" { when = all { belief.intent:at_least(45)'
  local new = 'go "mql" { when = all { belief.intent:at_least(50)'
  show.must(before:find(old, 1, true), "the line to change is there")
  show.head(3, "A policy change, while events flow", "policies/b2b_saas/policy.lua")
  local out = stage.folder .. "/out3.jsonl"
  local sender = daemon.background(d:intent("send", "--json", "--window", "8", stage.folder .. "/part3.jsonl"), out)
  daemon.write(path, (before:gsub(old:gsub("%p", "%%%0"), function() return new end)))
  local version = daemon.wait("the new version", 30, function()
    local seen
    for found in d:said():gmatch 'event=release [^\n]-version=(%x+)' do seen = found end
    return seen ~= stage.version and seen
  end)
  daemon.wait("the events to be sent", 120, function() return not daemon.alive(sender) end)
  show.line("- %s ...", old)
  show.line("+ %s ...", new)
  local versions, wrong = {}, 0
  local total = take(stage.folder, 3, out, leads, users)
  local last = {}
  answers.read(out, function(a)
    versions[a.version] = (versions[a.version] or 0) + 1
    if last[a.lead] == version and a.version ~= version then wrong = wrong + 1 end
    last[a.lead] = a.version
  end)
  show.must(total == counts[3], "no event is dropped: " .. total .. " of " .. counts[3])
  show.must(wrong == 0, "no lead goes back to the old version")
  show.line("reload  %s -> %s between two events; %d events under the old, %d under the new, 0 dropped, 0 mixed", stage.version, version,
    versions[stage.version] or 0, versions[version] or 0)

  daemon.write(path, (before:gsub("f%.pricing_views_7d", "f.pricing_view_7d", 1)))
  local complaint = daemon.wait("the complaint", 30, function() return first_line(d:run("policy", "status", "--json"), '"error":{') end)
  show.must(complaint:find(version, 1, true), "the version in force stays")
  local detail = complaint:match '"detail":"(.-[^\\])"'
  detail = detail:gsub("\\(.)", "%1")
  show.must(detail:find "policy.lua:%d+" and detail:find "did you mean", "the error names the line and the likely name: " .. detail)
  show.line("A typo? %s", detail)
  show.line("        %s stays", version)
  daemon.write(path, before)
  daemon.wait("the policy as it was", 30, function()
    return d:run("policy", "status", "--json"):find('"version":"' .. stage.version .. '"', 1, true)
  end)
end

-- ---- 4 ----

local function plug(stage, counts, leads, users)
  local show, d = stage.show, stage.daemon
  local file, out = stage.folder .. "/part4.jsonl", stage.folder .. "/out4.jsonl"
  local sender = daemon.background(d:intent("send", "--json", "--window", "64", file), out)
  local target = math.floor(counts[4] / 3)
  daemon.wait("a third of the events", 120, function()
    local text = daemon.read(out)
    return text and select(2, text:gsub("\n", "")) >= target
  end)
  d:stop(9)
  daemon.sleep(0.2) -- the sender writes out what it had been answered
  local acknowledged = {}
  for line in (daemon.read(out) or ""):gmatch "[^\n]+\n" do
    local a = answers.parse(line)
    if a then acknowledged[a.line] = a.hash end
  end
  show.head(4, "Pull the plug", "kill -9 in the middle of the stream")
  d:start()
  local ms = d:said():match "event=recovered [^\n]*ms=(%d+)"
  daemon.wait("the rest of the events", 120, function() return not daemon.alive(sender) end)
  local total = take(stage.folder, 4, out, leads, users)
  show.must(total == counts[4], "every event is decided: " .. total .. " of " .. counts[4])
  -- Sending all of it once more shows what the daemon holds: each event is known, with the same decision.
  os.execute(d:intent("send", "--json", file) .. " >" .. stage.folder .. "/out5.jsonl")
  local known, same, before = 0, 0, 0
  for _ in pairs(acknowledged) do before = before + 1 end
  answers.read(stage.folder .. "/out5.jsonl", function(a)
    if a.duplicate then known = known + 1 end
    if acknowledged[a.line] and acknowledged[a.line] == a.hash then same = same + 1 end
  end)
  show.must(before > 0, "something was acknowledged before the kill")
  show.must(same == before, ("all %d acknowledged decisions are found with their hashes, not %d"):format(before, same))
  show.must(known == counts[4], "each event counts once: " .. known .. " of " .. counts[4])
  show.line("back in %.1f s: %d acknowledged before, %d found, decision hashes equal; %d sent in all, 0 lost, 0 doubled", tonumber(ms) / 1000,
    before, same, counts[4])
end

-- ---- 5 ----

--- How many of those who buy later are among the tenth with the highest score, as of day 40.
local function found(list, key, tenth)
  table.sort(list, function(a, b)
    if a[key] ~= b[key] then return a[key] > b[key] end
    return a.user < b.user
  end)
  local count = 0
  for i = 1, tenth do count = count + (list[i].buys and 1 or 0) end
  return count
end

local function worth(stage, truth, at_day_40)
  local show = stage.show
  local list, buyers = {}, 0
  local cut = "2026-02-10"
  for user, d in pairs(at_day_40) do
    local fate = truth[user]
    local is_over = d.stage == "customer" or (fate and fate.buys and fate.when ~= "" and fate.when < cut)
    if fate and not is_over then
      list[#list + 1] = { user = user, fit = d.fit, engagement = d.engagement, combined = d.combined, buys = fate.buys }
      buyers = buyers + (fate.buys and 1 or 0)
    end
  end
  local tenth = math.floor(#list / 10)
  local profile, behaviour, both = found(list, "fit", tenth), found(list, "engagement", tenth), found(list, "combined", tenth)
  show.head(5, "Was it worth it?", ("the top 10 %% of %d open leads on day 40: of %d who buy later, found"):format(#list, buyers))
  show.bar("profile only", profile, buyers)
  show.bar("behaviour", behaviour, buyers)
  show.bar("both", both, buyers)
  show.must(behaviour > profile, "behaviour finds more buyers than the profile")
end

return function(stage)
  local show = stage.show
  local counts, truth = simulate(stage)
  local total = counts[1] + counts[2] + counts[3] + counts[4]
  io.write(("intentd demo: %d simulated B2B buyers, %d days, %d events. Seed %d. Data: a temporary directory, removed at the end\n"):format(
    LEADS, DAYS, total, SEED))
  stage.policies = stage.folder .. "/policies"
  daemon.capture("cp", "-r", stage.root .. "/policies", stage.policies)
  stage.daemon = daemon.new { root = stage.root, folder = stage.folder, policies = stage.policies, policy = "b2b_saas" }
  stage.daemon:start()
  stage.version = stage.daemon:said():match "event=release [^\n]-version=(%x+)"
  local leads, users = {}, {}
  local hot = decisions(stage, counts, leads, users)
  local at_day_40 = {}
  for user, d in pairs(users) do at_day_40[user] = d end
  explanation(stage, hot)
  change(stage, counts, leads, users)
  plug(stage, counts, leads, users)
  worth(stage, truth, at_day_40)
  local before = stage.daemon:said()
  show.must(not before:find "level=error", "the daemon has no error to log after its restart")
  stage.daemon:stop()
  io.write(("\n%d events, %d decisions, 0 lost. Next: ./dev run | edit policies/b2b_saas/policy.lua | docs/tutorial.md\n"):format(total, total))
end
