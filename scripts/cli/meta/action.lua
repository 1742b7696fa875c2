---@meta action

local action = {}

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
function action.channel(name) end

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
function action.offer(name) end

--- action.otherwise "wait" { utility = 5, why }: done when nothing is worth more.
---@param name string
---@return fun(body: {utility?: number, why: string})
function action.otherwise(name) end

--- action.explore { rate = "2%", among = { "demo_invite", "case_study" }, why }: where the best offer is one of `among` and
--- others of them could be taken as well, in this share of decisions one of these is drawn, each as likely as the others.
---@param body {rate: string, among: string[], why: string}
function action.explore(body) end

--- action.limits { per_lead = "1 in 3d", hold_out = "5% salt 2026q4" }; per_lead may be several: { "1 in 1d", "3 in 7d" }
---@param body {per_lead?: string|string[], hold_out?: string}
function action.limits(body) end

return action
