--- Leads made up from a seed: what they do over a few months, as one stream of events in which each says when it
--- happened.
local harness = require "harness"

local lives = {}

local DAY_MS = 86400000
local START_MS = 1767225600000 -- 2026-01-01
local NAMES = {
  "Pricing Viewed",
  "Pricing Viewed",
  "Docs Viewed",
  "Case Study Downloaded",
  "Demo Requested",
  "Trial Started",
  "Feature Used",
  "Feature Used",
  "Teammate Invited",
  "Integration Connected",
  "Email Link Clicked",
  "Unsubscribed",
  "crm.call_logged",
  "crm.opportunity_created",
  "crm.lead_rejected",
  "crm.opportunity_won",
  "Something Else",
}
local CHANNELS = { "web", "product", "product", "email", "crm" }
local MAILS = { "acme.example", "globex.example", "gmail.com", "rival.example", "initech.example" }

local function identify(random, event, lead)
  event.type, event.event = "identify", nil
  event.traits = {
    email = ("p%d@%s"):format(lead, MAILS[random(#MAILS)]),
    employees = random(2000),
    employee = random(40) == 1,
    industry = ({ "Software", "Finance", "Retail" })[random(3)],
    region = ({ "EMEA", "AMER", "APAC" })[random(3)],
    tier = ({ "strategic", "mid", "small" })[random(3)],
    seniority = ({ "executive", "manager", "individual" })[random(3)],
  }
end

--- `count` events of `leads` leads over `days` days. messageId i is that of the i-th. Some come late; one in ten has a
--- second's half.
function lives.stream(seed, count, leads, days)
  local random = harness.random(seed)
  local events = {}
  for i = 1, count do
    local lead = random(leads)
    local at_ms = START_MS + math.floor(i / count * days * DAY_MS)
    if random(20) == 1 then at_ms = at_ms - random(5 * DAY_MS) end
    local event = {
      type = "track",
      event = NAMES[random(#NAMES)],
      messageId = i,
      timestamp = at_ms,
      channel = CHANNELS[random(#CHANNELS)],
      properties = { feature = "f" .. random(9), amount = random(1000) / 8 },
    }
    event[lead % 3 == 0 and "anonymousId" or "userId"] = "lead" .. lead
    if random(8) == 1 then identify(random, event, lead) end
    if random(6) == 1 then
      event.type, event.event, event.name = "page", nil, ({ "Home", "Docs", "Pricing" })[random(3)]
    end
    events[i] = event
  end
  return events
end

return lives
