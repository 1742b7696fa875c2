-- The export of a CRM's list of people as CSV, by `intent import --source crm_export FILE.csv`: a row is a payload, its
-- columns are the keys. European numbers and dates, names in one column. Also a form with these fields, by HTTP.
local s = require "source"

return s.source "crm_export" {
  owner = "revops@example.com",
  rationale = "Who our leads are, from the time before their events came in by themselves.",
  messageId = s.template "{Record ID}-{Last Modified}",
  timestamp = s.time(s.need "Last Modified", "day_first", "+01:00"),
  userId = s.first { "User ID", s.template "crm-{Record ID}" },
  channel = "crm",
  rules = {
    s.skip "rejected" { when = { Status = { "Duplicate", "Test" } }, why = "They are no leads." },
    s.rule "person" {
      when = s.has "Record ID",
      events = {
        {
          type = "identify",
          traits = {
            email = s.lower "E-Mail", phone = s.text "Phone",
            firstName = s.first_name "Name", lastName = s.last_name "Name",
            employees = s.number("Employees", "comma"), industry = s.lower "Industry",
            region = s.map(s.lower "Country", { germany = "emea", france = "emea", brazil = "amer", japan = "apac" }),
            seniority = s.lower "Seniority",
          },
        },
        {
          event = "crm.stage_changed",
          properties = { stage = s.lower "Stage", value = s.number("Deal Value", "comma"),
            place = s.join({ "City", "Country" }, ", ") },
        },
      },
    },
  },
}
