--- One lead through one compiled policy: features, models, the call, and the engine's part (stage, timers, memory), in
--- plain Lua.
local features = require "features"
local models = require "models"
local sandbox = require "sandbox"

local lead = {}

local HELD = {
  [0] = "none",
  "hold_out",
  "per_lead",
  "not_eligible",
  "mode",
  "consent",
  "cool_down",
  "at_most",
  "per_channel",
  "quiet",
  "explored",
  "switch",
}

-- A number in [0, 1) from a text: not the engine's hash, but as fair.
local function draw(text)
  local h = 5381
  for i = 1, #text do
    h = (h * 33 + text:byte(i)) % 4294967296
  end
  for _ = 1, 3 do
    h = (h * 1664525 + 1013904223) % 4294967296
  end
  return h / 4294967296
end

local function test_value(test, texts)
  local text = texts[test.feature]
  if text == "" then return 0 end
  if test.known then return 1 end
  for _, member in ipairs(test.any) do
    if member == text then return 1 end
  end
  return 0
end

local function name_at(list, index) return index >= 0 and (list[index + 1].name or list[index + 1]) or "none" end

local methods = {}
methods.__index = methods

-- ---- what sales says, by the guide alone ----

local SAYS = {
  ["crm.owner_set"] = "owner_set",
  ["crm.owner_cleared"] = "owner_cleared",
  ["crm.stage_set"] = "stage_set",
  ["crm.lead_disqualified"] = "disqualified",
  ["crm.lead_requalified"] = "requalified",
  ["crm.lead_rejected"] = "rejected",
  ["crm.lead_accepted"] = "accepted",
}

local function position(list, name)
  for i, entry in ipairs(list) do
    if (entry.name or entry) == name then return i - 1 end
  end
end

function methods:said_by(event)
  if not event or event.type ~= "track" then return nil end
  for kind, names in pairs(self.artifact.sales or {}) do
    if type(names) == "table" and position(names, event.event) then return kind end
  end
  return SAYS[event.event]
end

-- Returns what rules may still decide (core/policy/parts.h), and what is said.
function methods:hear(now, event)
  local said, properties = self:said_by(event), event and event.properties or {}
  local order = 0
  if said == "owner_set" and properties.owner then
    local person = position(self.artifact.owners, properties.owner)
    self.owner, self.manual, self.stranger = person or -1, true, not person and properties.owner or nil
  elseif said == "rejected" or said == "owner_cleared" then
    if said == "rejected" and self.owner >= 0 then self.gave_back[self.owner] = now end
    self.owner, self.manual, self.stranger, order = -1, false, nil, 1
  elseif said == "disqualified" or said == "requalified" then
    self.out = said == "disqualified"
  elseif said == "stage_set" then
    local stage = position(self.artifact.stages, properties.stage)
    if stage and stage ~= self.stage then
      self.stage, order = stage, 2
      self:arm(now)
    end
  end
  return self.out and 3 or order, said
end

-- The latest three who gave the lead back within the time.
function methods:barred(now)
  local people = {}
  for owner, at in pairs(self.gave_back) do
    people[#people + 1] = { owner = owner, at = at }
  end
  table.sort(people, function(a, b) return a.at > b.at end)
  local list = {}
  for i = 1, math.min(3, #people) do
    if now - people[i].at < ((self.artifact.sales or {}).not_again_ms or 30 * 86400000) then list[#list + 1] = people[i].owner end
  end
  return list
end

--- options: {root, id, hold_out, traced}
function lead.new(artifact, custom, options)
  local self = setmetatable({
    artifact = artifact,
    options = options,
    events = {},
    timers = {},
    stage = 0,
    owner = -1,
    acted = 0,
    manual = false,
    gave_back = {},
    values = {},
    texts = {},
    score = {},
  }, methods)
  self.vm = sandbox.open(artifact, custom)
  for role, name in pairs(artifact.models or {}) do
    self.score[role] = models.open(options.root, name)
  end
  return self
end

function methods:arm(now)
  self.since, self.timers = now, {}
  for number, transition in ipairs(self.artifact.transitions) do
    if transition.from == self.stage and transition.after_ms > 0 then
      self.timers[#self.timers + 1] = { due = now + transition.after_ms, transition = number - 1 }
    end
  end
  table.sort(self.timers, function(a, b) return a.due < b.due end)
end

local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }
local function duration(text)
  local number, unit = text:match "^(%d+)(%a+)$"
  return tonumber(number) * UNITS[unit]
end

function methods:fill(now, event, timer, order)
  local at, I, artifact = self.vm.layout.input, self.vm.I, self.artifact
  self.values, self.texts = features.read(artifact.declarations, self.events, now)
  for _, declaration in ipairs(artifact.declarations) do
    local said = (self.account or {})[declaration.name]
    if declaration.text then
      self.texts[declaration.name] = said or self.texts[declaration.name]
    elseif said then
      self.values[declaration.name] = type(said) == "string" and duration(said) or said
    end
  end
  for name, x in pairs {
    now = now,
    stage = self.stage,
    since = self.since,
    timer = timer and timer + 1 or 0,
    owner = self.owner,
    manual = self.manual and 1 or 0,
    acted = self.acted,
    is_event = event and 1 or 0,
    sales = order,
    switch = 0,
  } do
    I[at[name]] = x
  end
  local barred = self:barred(now)
  for i = 0, 2 do
    I[at.barred + i] = barred[i + 1] or -1
  end
  for _, role in ipairs { "fit", "engagement" } do
    I[at[role]] = self.score[role] and self.score[role](self.values, self.texts) or 0
  end
  for i, declaration in ipairs(artifact.declarations) do
    I[at.features + i - 1], self.vm.texts[i - 1] = self.values[declaration.name], self.texts[declaration.name]
  end
  for i, test in ipairs(artifact.tests) do
    I[at.tests + i - 1] = test_value(test, self.texts)
  end
  for i, name in ipairs(artifact.ages) do
    I[at.ages + i - 1] = features.age(artifact.declarations, name, self.events, now)
  end
  for i, name in ipairs(artifact.events) do
    I[at.events + i - 1] = event and (event.event or event.name) == name and 1 or 0
  end
  for i, d in ipairs(artifact.draws) do
    local by_chance = d.by == "event" and 0.999 or draw(self.options.id .. d.salt) -- nothing is explored here
    I[at.draws + i - 1] = d.hold_out and (self.options.hold_out and 0 or 0.999) or by_chance
  end
end

-- As core/policy/offers.c has it, without its doubts.
function methods:suppressed()
  local at, O, out = self.vm.layout.output, self.vm.O, {}
  for i = 1, #self.artifact.actions - 1 do
    local utility, own = O[at.offers + i - 1], O[at.offers_held + i - 1]
    if utility > O[at.utility] or (utility == O[at.utility] and i < O[at.action]) then
      local why = own == own and own or O[at.held] ~= 0 and O[at.held] or 10
      out[#out + 1] = { action = self.artifact.actions[i + 1].name, utility = utility, why = HELD[why], at = i }
    end
  end
  table.sort(out, function(a, b) return a.utility > b.utility or (a.utility == b.utility and a.at < b.at) end)
  return out
end

function methods:outcome()
  local at, O, artifact = self.vm.layout.output, self.vm.O, self.artifact
  local taken = {}
  for i = 1, O[at.steps] do
    local transition = artifact.transitions[O[at.steps + i] + 1]
    taken[i] = ("%s -> %s"):format(artifact.stages[transition.from + 1].name, artifact.stages[transition.to + 1].name)
  end
  local at_in, I = self.vm.layout.input, self.vm.I
  return {
    stage = artifact.stages[O[at.stage] + 1].name,
    owner = name_at(artifact.owners, O[at.owner]),
    action = artifact.actions[O[at.action] + 1].name,
    eligible = O[at.eligible] == 1,
    ineligible = name_at(artifact.eligibility, O[at.ineligible]),
    held = HELD[O[at.held]],
    suppressed = self:suppressed(),
    propensity = O[at.propensity],
    explored = O[at.explored] == 1,
    band = name_at(artifact.bands, O[at.band]),
    route = name_at(artifact.routes, O[at.route]),
    transitions = taken,
    cut = O[at.steps + 9] == 1,
    combined = O[at.combined] / 1000,
    fit = I[at_in.fit] / 1000,
    engagement = I[at_in.engagement] / 1000,
    intent = O[at.intent] / 1000,
    utility = O[at.utility],
  }
end

--- Decides at `now` for an event, or for a timer's transition.
function methods:decide(now, event, timer)
  if not self.since then self:arm(now) end
  if event then
    local at = #self.events + 1 -- in order of time; of equal times in order of arrival
    while at > 1 and self.events[at - 1].timestamp > event.timestamp do
      at = at - 1
    end
    table.insert(self.events, at, event)
  end
  local order, said = self:hear(now, event)
  self:fill(now, event, timer, order)
  self.vm.call(self.options.traced)
  local outcome = self:outcome()
  if self.out then
    outcome.eligible, outcome.ineligible = false, "disqualified"
  end
  local at, O = self.vm.layout.output, self.vm.O
  if O[at.steps] > 0 then
    self.stage = O[at.stage]
    self:arm(now)
  end
  if O[at.owner] ~= self.owner then
    self.manual, self.stranger = false, nil
  end
  self.owner = O[at.owner]
  outcome.owner = self.stranger or outcome.owner
  outcome.memory = {}
  for _, field in ipairs(self.artifact.fields or {}) do
    local x = self.vm.M[field.slot]
    if field.type == "flag" then x = x ~= 0 end
    if field.type == "choice" then x = field.options[x + 1] end
    if field.type == "time" and x < 0 then x = nil end
    outcome.memory[field.name] = x
  end
  outcome.sales = { said }
  if self.manual and said ~= "owner_set" then outcome.sales[#outcome.sales + 1] = "owner_set" end
  if self.out and said ~= "disqualified" then outcome.sales[#outcome.sales + 1] = "disqualified" end
  if O[at.action] > 0 then self.acted = now end
  return outcome
end

--- Fires the timers due by `now`, in order; returns the last outcome and the transitions taken.
function methods:pass(now)
  local outcome, taken = nil, {}
  while self.timers[1] and self.timers[1].due <= now do
    local timer = table.remove(self.timers, 1)
    outcome = self:decide(timer.due, nil, timer.transition)
    for _, name in ipairs(outcome.transitions) do
      taken[#taken + 1] = name
    end
  end
  return outcome, taken
end

--- Runs one case of a spec: an outcome a step.
function lead.run_case(artifact, custom, case, options)
  local self = lead.new(
    artifact,
    custom,
    { root = options.root, id = case.name, hold_out = case.hold_out, traced = options.traced }
  )
  local outcomes, last, taken, entry = {}, nil, {}, nil
  for i, step in ipairs(case.steps) do
    if step.entry ~= entry then
      taken, entry = {}, step.entry
    end
    for name, said in pairs(step.account or {}) do
      self.account = self.account or {}
      self.account[name] = said
    end
    local timed, timer_steps = self:pass(step.at_ms)
    for _, name in ipairs(timer_steps) do
      taken[#taken + 1] = name
    end
    last = timed or last
    if step.event then
      last = self:decide(step.at_ms, step.event)
      for _, name in ipairs(last.transitions) do
        taken[#taken + 1] = name
      end
    end
    outcomes[i] = {}
    for key, member in pairs(last) do
      outcomes[i][key] = member
    end
    outcomes[i].transitions = { unpack(taken) }
  end
  return outcomes
end

return lead
