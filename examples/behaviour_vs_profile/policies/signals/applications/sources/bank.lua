-- The bank's log of loan applications (examples/loans/README.md), a row an activity:
--   intent import --source loans/bank --sort timestamp events.csv.gz
-- An application is a lead; each activity is an event of it. The amount goes with the submission: there it is read.
local s = require "source"

return s.source "bank" {
  owner = "lending@example.com",
  rationale = "What happened to an application, as the bank's systems wrote it down.",
  messageId = s.template "{case_id}-{seq}",
  timestamp = s.time("timestamp", "rfc3339"),
  userId = s.need "case_id",
  channel = "bank",
  rules = {
    s.rule "activity" {
      event = s.need "activity",
      properties = {
        lifecycle = s.pick "lifecycle",
        resource = s.text "resource",
        amount_req = s.given({ activity = "A_SUBMITTED" }, s.number "amount_req"),
      },
    },
  },
}
