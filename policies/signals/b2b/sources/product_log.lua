-- A product's own log of what its users do, one JSON object a line or a request: {id, time, user, action, …}. Copy it for
-- a log of your own. Not signed: where write keys are configured it needs one; { scheme = "hmac" } signs it.
local s = require "source"

return s.source "product_log" {
  owner = "product@example.com",
  rationale = "Use of the product says more than words.",
  messageId = s.pick "id",
  timestamp = s.time("time", "rfc3339"),
  userId = s.first { "user.id", "user_id" },
  anonymousId = s.first { "device", "session" },
  channel = "product",
  rules = {
    s.skip "colleagues" { when = { ["user.internal"] = true }, why = "Our own people are no leads." },
    s.skip "machines" { when = s.starts("agent", "bot/"), why = "Monitoring signs in, too." },
    s.rule "signed up" {
      when = { action = "signup" },
      events = {
        { type = "identify", traits = {
          email = s.lower "user.email", firstName = s.first_name "user.name", lastName = s.last_name "user.name" } },
        { event = "Trial Started", properties = { plan = s.lower "plan" } },
      },
    },
    s.rule "action" {
      when = s.has "action",
      event = s.map("action", {
        project_created = "Project Created", report_exported = "Report Exported", invited = "Teammate Invited",
        connected = "Integration Connected" }, "Feature Used"),
      properties = { feature = s.pick "action", duration_ms = s.number "duration_ms", project = s.pick "project.id" },
    },
    s.rule "company" {
      when = s.has "company.id",
      type = "group", groupId = s.template "company-{company.id}",
      traits = { employees = s.number "company.size", industry = s.lower "company.industry" },
    },
  },
}
