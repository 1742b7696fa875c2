-- The shop's table, a row a session, with two columns more that the table lacks: `session`, a number, and `time`
-- (sessions.lua, in the folder above the policies).
local s = require "source"

local properties = {
  administrative = s.number "Administrative", administrative_seconds = s.number "Administrative_Duration",
  informational = s.number "Informational", informational_seconds = s.number "Informational_Duration",
  product = s.number "ProductRelated", product_seconds = s.number "ProductRelated_Duration",
  bounce_rate = s.number "BounceRates", exit_rate = s.number "ExitRates", special_day = s.number "SpecialDay",
  system = s.text "OperatingSystems", browser = s.text "Browser", region = s.text "Region", traffic = s.text "TrafficType",
  visitor = s.text "VisitorType", weekend = s.map("Weekend", { TRUE = 1, FALSE = 0 }),
}
local session = { event = "Session Ended", timestamp = s.time("time", "rfc3339"), properties = properties }
local function ended(event) return { session, { event = event, timestamp = s.time("ended", "rfc3339") } } end

return s.source "shop" {
  owner = "shop@example.com",
  rationale = "A session, and behind it how it ended.",
  messageId = s.need "session",
  userId = s.need "session",
  channel = "web",
  rules = {
    s.rule "bought" { when = { Revenue = "TRUE" }, events = ended "Purchased" },
    s.rule "left" { when = { Revenue = "FALSE" }, events = ended "Left" },
  },
}
