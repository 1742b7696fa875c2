--- People with many names, their companies, and the model that a daemon is held against, whatever happens to it: an event
--- counts once for whom it belongs to, all names of a person lead to one lead in the end, and an account is what its people
--- add up to. What a person is, only the model knows: the daemon has to find out from identify, alias and group events.
---
--- A `family` has one data directory. `live(steps)` sends until the daemon is gone or the steps are done; `check` is asked
--- after each restart; `settle` delivers what is left, ties all names together and waits; `check_all` looks at everything.
local harness = require "harness"
local wire = require "wire"

local socket = require "socket"

local PEOPLE, USERS, DEVICES, COMPANIES = 12, 3, 4, 3
local SENIORITY = { "executive", "manager", "individual" }
local PLANS = { "free", "team", "enterprise" }

local family = {}
family.__index = family

--- The shipped policies, whose signals also keep two traits of accounts.
function family.policies()
  local policies = harness.policies()
  harness.edit(policies .. "/signals/b2b/features/account.lua", "return {\n", [[return {
  { name = "account_plan", op = "account", roll = "trait", of = "traits.plan", text = true },
  { name = "account_employees", op = "account", roll = "trait", of = "traits.employees" },
]])
  return policies
end

local function new_person(name, company)
  local person = { name = name, users = {}, devices = {}, views = 0, company = company, named_at = 0, seen = {} }
  for i = 1, USERS do
    person.users[i] = ("u%s-%d"):format(name, i)
  end
  for i = 1, DEVICES do
    person.devices[i] = ("d%s-%d"):format(name, i)
  end
  return person
end

function family.new(daemon, random)
  local self = setmetatable({
    daemon = daemon,
    random = random,
    run = random(1000000000),
    begin_ms = (os.time() - 24 * 3600) * 1000,
    events = {}, -- by number: {event, person}
    open = {}, -- numbers that were or shall be sent, and are not acknowledged
    decided = {}, -- number -> bytes of its decision, `duplicate` false
    people = {},
    mortal = {}, -- people that are forgotten some day; a company of their own
    shared = {}, -- views on a device that two people use, by device
    traits = {}, -- by company: name -> {at, value}
    refusals = 0,
    forgotten = 0,
  }, family)
  for i = 1, PEOPLE do
    self.people[i] = new_person(tostring(i))
  end
  return self
end

local function sorted(set)
  local list = {}
  for number in pairs(set) do
    list[#list + 1] = number
  end
  table.sort(list)
  return list
end

local function plain(raw) return raw:sub(1, -2) .. "\194" end

-- ---- making ----
local function add(self, person, event)
  local number = #self.events + 1
  event.messageId = self.run .. "-" .. number
  self.events[number], self.open[number] = { event = event, person = person }, true
  person.open = (person.open or 0) + 1
  for _, key in ipairs { "userId", "anonymousId", "previousId" } do
    if event[key] then person.seen[event[key]] = true end
  end
  return number
end

-- Two people in turn use a device. Whose it is in the end is who came first; what is done on it counts for one of them.
local function shared_device(number) return "shared" .. math.ceil(number / 2) end

local function somebody(self)
  local random = self.random
  if random(8) > 1 then
    local at = random(PEOPLE)
    return self.people[at], at
  end
  if #self.mortal < 3 then
    self.buried = (self.buried or 0) + 1
    self.mortal[#self.mortal + 1] = new_person("m" .. self.buried, "mortals")
  end
  return self.mortal[random(#self.mortal)]
end

-- Where the time of a group event is new: somewhere around now, and no two at once.
local function time_of(self)
  local number = #self.events + 1
  return self.begin_ms + (number + self.random(60)) * 1000 + number % 1000
end

local function group(self, person, who)
  local random = self.random
  local company = person.company or "company" .. random(COMPANIES)
  local at = time_of(self)
  local traits = {}
  if random(2) == 1 then traits.plan = PLANS[random(#PLANS)] end
  if random(2) == 1 then traits.employees = random(5000) end
  local known = self.traits[company] or {}
  self.traits[company] = known
  for name, value in pairs(traits) do
    if not known[name] or known[name].at < at then known[name] = { at = at, value = value } end
  end
  if not person.company and at > person.named_at then person.of, person.named_at = company, at end
  who.type, who.groupId, who.timestamp, who.traits = "group", company, at, traits
  return add(self, person, who)
end

function family:new_event()
  local random = self.random
  local person, at = somebody(self)
  local user, device = person.users[random(USERS)], person.devices[random(DEVICES)]
  local who = random(2) == 1 and { userId = user } or { anonymousId = device }
  local what = random(20)
  if what <= 6 then
    person.views = person.views + 1
    who.type, who.event, who.channel = "track", "Pricing Viewed", "web"
  elseif what == 7 then
    who.type, who.event, who.channel = "track", "Demo Requested", "web"
  elseif what == 8 and at then
    local shared = shared_device(at)
    if random(2) == 1 then return add(self, person, { type = "identify", userId = user, anonymousId = shared }) end
    self.shared[shared] = (self.shared[shared] or 0) + 1
    who = { type = "track", event = "Pricing Viewed", channel = "web", anonymousId = shared }
  elseif what <= 12 then
    local traits = random(3) == 1 and { seniority = SENIORITY[random(#SENIORITY)] } or nil
    who = { type = "identify", userId = user, anonymousId = device, traits = traits }
  elseif what <= 16 then
    local other = random(3) == 1 and device or person.users[random(USERS)]
    who = { type = "alias", userId = user, previousId = other }
  else
    return group(self, person, who)
  end
  return add(self, person, who)
end

-- ---- sending ----
function family:take(number, err, raw)
  local one = self.events[number]
  if err then
    assert(err.retryable, ("event %d: %s: %s"):format(number, err.code, err.detail))
    self.refusals = self.refusals + 1
    return
  end
  local was = self.decided[number]
  assert(not was or was == plain(raw), ("event %d has two decisions"):format(number))
  if not was then one.person.open = one.person.open - 1 end
  self.decided[number], self.open[number] = plain(raw), nil
end

local function sender_of(self)
  local sender = { client = self.daemon:connect(), sent = {} }
  function sender.send(numbers)
    local out = {}
    for i, number in ipairs(numbers) do
      sender.sent[#sender.sent + 1] = number
      out[i] = wire.request(#sender.sent, "event.ingest", self.events[number].event)
    end
    sender.client:send_bytes(table.concat(out))
  end
  function sender.read(patience)
    while true do
      local response = sender.client:receive(patience)
      if not response then return end
      self:take(sender.sent[response.id], response.error, response.raw)
      patience = 0
    end
  end
  return sender
end

-- What is open, oldest first, and some that were answered: they may come again.
local function repeat_some(self, sender, share)
  local numbers = {}
  for _, number in ipairs(sorted(self.open)) do
    if self.random(share) == 1 and #numbers < 100 then numbers[#numbers + 1] = number end
  end
  for _ = 1, 3 do
    local number = self.random(math.max(1, #self.events))
    local one = self.events[number]
    if one and not one.person.company and self.decided[number] then numbers[#numbers + 1] = number end
  end
  if #numbers > 0 then sender.send(numbers) end
end

-- The lead that all names of a person lead to; nil: not yet.
local function lead_of(client, person)
  local first
  for name in pairs(person.seen) do
    local answer = client:call("lead.get", name)
    if not answer or (first and first.lead.lead ~= answer.lead.lead) then return nil end
    first = answer
  end
  return first
end

--- Asks to forget people whose events are all answered. Whether it was done is seen after the next start. Where an ask was
--- still under way the rest of a person may stay, and found again who was forgotten: then nothing is held against it.
function family:forget_some()
  for at = #self.mortal, 1, -1 do
    local person = self.mortal[at]
    if (person.open or 0) == 0 and next(person.seen) and self.random(3) == 1 then
      local ok = pcall(function()
        local client = self.daemon:connect()
        local is_quiet = self.daemon:metric "intentd_outbox_messages" == 0
        person.gone = is_quiet and lead_of(client, person) and sorted(person.seen) or {}
        self.daemon:admin():send("lead.forget", (next(person.seen)))
      end)
      if ok then
        table.remove(self.mortal, at)
        self.dying = self.dying or {}
        self.dying[#self.dying + 1] = person
      end
    end
  end
end

--- Sends for about so many steps, on several connections at once.
function family:live(steps)
  local random, senders = self.random, {}
  local ok = pcall(function()
    self:forget_some()
    for i = 1, 3 do
      senders[i] = sender_of(self)
    end
  end)
  if not ok then return end -- it was gone before
  repeat_some(self, senders[1], 1)
  for step = 1, steps do
    if self.daemon:wait_exit() then break end
    local numbers = {}
    for i = 1, random(12) do
      numbers[i] = self:new_event()
    end
    senders[random(#senders)].send(numbers)
    for _, sender in ipairs(senders) do
      sender.read(0)
    end
    if step % 8 == 0 then repeat_some(self, senders[random(#senders)], 3) end
    if random(6) == 1 then socket.sleep(random(12) / 1000) end
  end
  if random(3) > 1 then
    socket.sleep(random(60) / 1000)
    for _, sender in ipairs(senders) do
      sender.read(0)
    end
  end
end

-- ---- checking ----
local function check_decisions(self, numbers)
  local requests = {}
  for i, number in ipairs(numbers) do
    requests[i] = { "decision.get", self.decided[number]:match "%x+%-%d+" }
  end
  for i, answer in ipairs(self.daemon:connect():pipeline(requests)) do
    assert(not answer.error, answer.error and "an acknowledged decision is gone: " .. answer.error.detail)
    assert(self.decided[numbers[i]] == answer.raw, "a decision has other bytes")
  end
end

local function check_gone(client, person)
  for _, name in ipairs(person.gone) do
    local answer, err = client:call("lead.get", name)
    local is = answer and answer.lead.lead or err.code
    assert(is == "not_found", ("%s was forgotten, and is %s; the others: %s"):format(name, is, table.concat(person.gone, " ")))
  end
end

local function deliver(self, numbers)
  local sender = sender_of(self)
  for _, number in ipairs(numbers) do
    self.open[number] = true
  end
  harness.wait("everything to be acknowledged", function()
    local left = sorted(self.open)
    for from = 1, #left, 200 do
      sender.send { unpack(left, from, math.min(from + 199, #left)) }
      sender.read(5)
    end
    return not next(self.open)
  end)
end

-- All names of a person are one's.
local function tie(self, person)
  for _, name in ipairs(sorted(person.seen)) do
    if name:sub(1, 1) == "u" then add(self, person, { type = "alias", userId = person.users[1], previousId = name }) end
  end
  for _, device in ipairs(person.devices) do
    add(self, person, { type = "identify", userId = person.users[1], anonymousId = device })
  end
end

--- After a restart: what was acknowledged since the last check, and some of what was before; whoever was to be forgotten is.
function family:check()
  local numbers = {}
  for _, number in ipairs(sorted(self.decided)) do
    local is_asked = number > (self.checked or 0) or self.random(25) == 1
    if is_asked and not self.events[number].person.gone then numbers[#numbers + 1] = number end
  end
  check_decisions(self, numbers)
  self.checked = math.max(0, #self.events - 300)
  local client, admin = self.daemon:connect(), self.daemon:admin()
  for _, person in ipairs(self.dying or {}) do
    if not person.is_gone then
      local answer, err = admin:call("lead.forget", (next(person.seen)))
      assert(answer or err.code == "not_found", err and err.detail)
      person.is_gone = true
      if person.gone[1] then self.forgotten = self.forgotten + 1 end
      local why
      harness.wait(function() return ("all that was part of %s to be forgotten: %s"):format(person.name, why) end, function()
        local is_gone
        is_gone, why = pcall(check_gone, client, person)
        return is_gone
      end)
    end
    check_gone(client, person)
  end
  for _, person in ipairs(self.mortal) do
    if self.random(2) == 1 then tie(self, person) end
  end
  if self.random(2) == 1 then deliver(self, {}) end
end

local function is_quiet(self, client)
  if self.daemon:metric "intentd_outbox_messages" > 0 then return false end
  for i = 1, COMPANIES do
    local answer = client:call("account.get", "company" .. i)
    if answer and answer.account.is_dirty then return false end
  end
  return true
end

--- Delivers what is left, ties the names of everybody together, and waits until nothing moves any more.
function family:settle()
  deliver(self, {})
  for _, person in ipairs(self.people) do
    tie(self, person)
  end
  deliver(self, {})
  local client = self.daemon:connect()
  for _, person in ipairs(self.people) do
    for name in pairs(person.seen) do -- an alias's previousId may be a device's, a shared device somebody else's
      if name:sub(1, 6) == "shared" then person.seen[name] = nil end
    end
    harness.wait("all names of " .. person.name .. " to be one lead's", function() return lead_of(client, person) end)
  end
  harness.wait("messages and copies to be delivered", function() return is_quiet(self, client) end)
end

local function number_of(value) return tonumber(value) or 0 end

-- ---- accounts: what the leads of a company add up to ----
local function expected_of(self, leads, company)
  local sum = { people = 0, ids = {}, roles = 0, engagement = nil, demo = nil }
  local roles = {}
  for i, person in ipairs(self.people) do
    if person.of == company then
      local lead, decision = leads[i].lead, leads[i].decision
      sum.people = sum.people + 1
      sum.ids[lead.lead] = true
      local points = math.floor((decision.scores.engagement + 500) / 1000)
      sum.engagement = math.max(sum.engagement or points, points)
      local role, demo = lead.features.seniority, tonumber(lead.features.demo_ago)
      if type(role) == "string" and not roles[role] then
        roles[role], sum.roles = true, sum.roles + 1
      end
      if demo then sum.demo = math.max(sum.demo or 0, lead.now - demo) end
    end
  end
  return sum
end

local function check_account(self, client, leads, company)
  local function same(what, wanted, is)
    assert(wanted == is, ("%s: %s is %s, its people add up to %s"):format(company, what, tostring(is), tostring(wanted)))
  end
  local wanted, answer = expected_of(self, leads, company), client:call("account.get", company)
  if not answer then return same("people", wanted.people, 0) end
  local account, features = answer.account, answer.features
  same("people", wanted.people, #account.people)
  for _, person in ipairs(account.people) do
    same("a person", true, wanted.ids[person.lead] or person.lead)
  end
  same("account_people", wanted.people, features.account_people)
  same("account_people_7d", wanted.people, features.account_people_7d)
  same("account_roles", wanted.roles, features.account_roles)
  same("account_engagement", wanted.engagement, tonumber(features.account_engagement))
  local demo = tonumber(features.account_demo_ago)
  same("account_demo_ago", wanted.demo, demo and account.clock - demo)
  for name, trait in pairs(self.traits[company] or {}) do
    same("account_" .. name, trait.value, features["account_" .. name])
  end
  return features
end

-- The copies: what each of its people's next decision reads.
local function check_copies(self, client, shown)
  for _, person in ipairs(self.people) do
    local features = shown[person.of or 0]
    if features then
      client:must("event.ingest", {
        type = "track",
        event = "Docs Viewed",
        userId = person.users[1],
        messageId = ("%d-copy-%d-%s"):format(self.run, #self.events, person.name),
      })
      local explained = client:must("decision.explain", person.users[1])
      assert(explained.reproduced, "a decision is not reproduced")
      for _, feature in ipairs(explained.features) do
        local is_counted = feature.name:match "^account_%a+$" and feature.name ~= "account_quiet"
          and feature.name ~= "account_engagement" and feature.name ~= "account_tier"
        if is_counted then
          local is, wanted = feature.value, features[feature.name]
          assert(is == wanted, ("%s reads %s = %s of its account, which has %s"):format(person.name, feature.name,
            tostring(is), tostring(wanted)))
        end
      end
    end
  end
end

function family:check_all()
  local client, leads, shown = self.daemon:connect(), {}, {}
  local numbers, views = {}, {}
  for number in pairs(self.decided) do
    if not self.events[number].person.gone then numbers[#numbers + 1] = number end
  end
  check_decisions(self, numbers)
  for i, person in ipairs(self.people) do
    leads[i] = next(person.seen) and assert(lead_of(client, person), person.name .. " is not one lead")
    views[i] = leads[i] and number_of(leads[i].lead.features.pricing_views_7d) or 0
    assert(views[i] >= person.views, ("%s has %d views, and did %d"):format(person.name, views[i], person.views))
  end
  for i = 1, PEOPLE, 2 do
    local device = shared_device(i)
    local owner = client:call("lead.get", device)
    owner = owner and owner.lead
    local is_theirs = owner and (owner.lead == leads[i].lead.lead or owner.lead == leads[i + 1].lead.lead)
    local count = views[i] + views[i + 1]
    if owner and not is_theirs then count = count + number_of(owner.features.pricing_views_7d) end -- nobody signed in on it
    local wanted = self.people[i].views + self.people[i + 1].views + (self.shared[device] or 0)
    assert(count == wanted, ("%s: %d views, and there were %d"):format(device, count, wanted))
  end
  for i = 1, COMPANIES do
    shown["company" .. i] = check_account(self, client, leads, "company" .. i)
  end
  check_copies(self, client, shown)
end

return family
