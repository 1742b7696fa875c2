--- Actions: what to do next. Of the offers that are open in the lead's stage the one of highest utility wins, when
--- that is above what `otherwise` is worth. What may hold an offer back by itself (consent, how often it or its channel
--- was used, quiet hours) lets the next best pass; limits on the lead as a whole and the hold-out hold back all. The
--- decision says which was held back, and why.
local freeze = require "frozen"
local declare = require "declare"
local numbers = require "numbers"
local tree = require "tree"

local action = {}

-- Of one limit: what is kept of a lead for it is so many times.
local TIMES_MAX = 16

-- "2 in 7d" -> {count, ms, text}; nil: reported.
local function read_limit(place, called, text)
  local count, duration = text:match "^%s*(%d+)%s+in%s+(.-)%s*$"
  local ms = duration and numbers.duration_ms(duration)
  count = tonumber(count)
  if not ms or ms == 0 or count < 1 or count > TIMES_MAX then
    tree.problem(place, "%s is \"1 in 3d\" (1 to %d actions in a duration), not '%s'", called, TIMES_MAX, text)
    return nil
  end
  return { count = count, ms = ms, text = ("%d in %s"):format(count, numbers.show_duration(ms)) }
end

-- One limit or several, as a list.
local function read_limits(place, called, texts)
  local limits = {}
  for _, text in ipairs(texts or {}) do
    limits[#limits + 1] = read_limit(place, called, text)
  end
  return limits
end

--- action.channel "mail" { consent = f.mail_consent, at_most = "2 in 7d", quiet = "20:00-08:00", zone = f.timezone,
---   default_zone = "Europe/Berlin", why }: what offers go out by. No offer of it is made without consent, which is what the
--- lead is known to have given, nor in its quiet hours. Those go by the clock of a zone, which a feature of text may name, by
--- itself or by way of a list with the columns text and zone (zones = "region_zones"); or they are whenever a calendar is closed
--- (calendar = "office_hours").
---@param name string
---@class ChannelBody
---@field consent? Condition
---@field at_most? string|string[]
---@field quiet? string "20:00-08:00"
---@field zone? string|Value
---@field zones? string a csv
---@field default_zone? string
---@field calendar? string a csv of opening hours (scripts/calendar.lua)
---@field why string
---@return fun(body: ChannelBody)
action.channel = declare.named("action.channel", {
  consent = "condition",
  at_most = "texts",
  quiet = "text",
  zone = "zone",
  zones = "text",
  default_zone = "text",
  calendar = "text",
  why = "text!",
}, function(entry, fields)
  for _, key in ipairs { "consent", "quiet", "zone", "zones", "default_zone", "calendar", "why" } do
    entry[key] = fields[key]
  end
  entry.limits = read_limits(entry, ("channel '%s': at_most"):format(entry.name), fields.at_most)
  declare.add(tree.ways, entry)
end)

--- action.offer "call" { stages = { "sql" }, utility = 1.2 * belief.intent - 40, when?, channel?, consent?,
---   cool_down? = "14d", at_most? = "2 in 90d", why }
---@param name string
---@class OfferBody
---@field stages string|string[] where it is open
---@field utility Value|number what it is worth
---@field when? Condition
---@field channel? string an action.channel
---@field consent? Condition beside the channel's
---@field cool_down? string "14d": at least so long between two of them
---@field at_most? string|string[] "2 in 90d"
---@field why string
---@return fun(body: OfferBody)
action.offer = declare.named("offer", {
  stages = "texts!",
  utility = "value!",
  when = "condition",
  channel = "text",
  consent = "condition",
  cool_down = "duration",
  at_most = "texts",
  why = "text!",
}, function(entry, fields)
  entry.stages, entry.utility, entry.when, entry.why = fields.stages or {}, fields.utility, fields.when, fields.why
  entry.channel, entry.consent, entry.cool_down_ms = fields.channel, fields.consent, fields.cool_down
  entry.limits = read_limits(entry, ("offer '%s': at_most"):format(entry.name), fields.at_most)
  declare.add(tree.offers, entry)
end)

--- action.otherwise "wait" { utility = 5, why }: done when nothing is worth more.
---@param name string
---@return fun(body: {utility?: number, why: string})
action.otherwise = declare.named("otherwise", { utility = "number", why = "text!" }, function(entry, fields)
  entry.utility, entry.why = fields.utility or 0, fields.why
  if tree.otherwise then
    tree.problem(entry, "action.otherwise is declared twice; first in line %d", tree.otherwise.line)
    return
  end
  tree.otherwise = entry
end)

-- "2%" as a share; nil: reported.
local function read_rate(place, text)
  local percent = tonumber(text:match "^%s*(%d+%.?%d*)%%%s*$")
  if percent and percent > 0 and percent <= 100 then return percent / 100 end
  tree.problem(place, "action.explore: rate is \"2%%\" (above 0, at most 100 %%), not '%s'", text)
  return nil
end

--- action.explore { rate = "2%", among = { "demo_invite", "case_study" }, why }: where the best offer is one of `among` and
--- others of them could be taken as well, in this share of decisions one of these is drawn, each as likely as the others.
---@param body {rate: string, among: string[], why: string}
function action.explore(body)
  local place = tree.place()
  local entry = { kind = "action.explore", name = tree.input.policy, path = place.path, line = place.line }
  local fields = declare.fields(entry, { rate = "text!", among = "texts!", why = "text!" }, body)
  if tree.explore then tree.problem(place, "action.explore is declared twice; first in line %d", tree.explore.line) end
  entry.rate = fields.rate and read_rate(place, fields.rate)
  entry.among, entry.why = fields.among or {}, fields.why
  tree.explore = entry
end

local function read_hold_out(place, text)
  local percent, salt = text:match "^%s*(%d+%.?%d*)%%%s+salt%s+([%w_.%-]+)%s*$"
  percent = tonumber(percent)
  if not percent or percent <= 0 or percent >= 100 then
    tree.problem(
      place,
      "action.limits: hold_out is \"5%% salt 2026q4\" (a share above 0 and below 100 %%, and a salt), not '%s'",
      text
    )
    return nil
  end
  return { share = percent / 100, salt = salt }
end

--- action.limits { per_lead = "1 in 3d", hold_out = "5% salt 2026q4" }; per_lead may be several: { "1 in 1d", "3 in 7d" }
---@param body {per_lead?: string|string[], hold_out?: string}
function action.limits(body)
  local place = tree.place()
  local entry = { kind = "action.limits", name = tree.input.policy, path = place.path, line = place.line }
  local fields = declare.fields(entry, { per_lead = "texts", hold_out = "text" }, body)
  if tree.limits then tree.problem(place, "action.limits is declared twice; first in line %d", tree.limits.line) end
  entry.per_lead = read_limits(place, "action.limits: per_lead", fields.per_lead)
  entry.hold_out = fields.hold_out and read_hold_out(place, fields.hold_out)
  tree.limits = entry
end

return freeze("action", action)
