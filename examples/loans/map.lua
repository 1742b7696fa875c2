-- The bank's log of loan applications (README.md) as events for policies/signals/loans:
--   intent import --map examples/loans/map.lua --sort timestamp events.csv.gz
-- An application is a lead; each activity is an event of it. The amount goes with the submission: there it is read.
return function(row)
  local properties = { lifecycle = row.lifecycle }
  if row.resource ~= "" then properties.resource = row.resource end
  if row.activity == "A_SUBMITTED" then properties.amount_req = tonumber(row.amount_req) end
  return {
    messageId = row.case_id .. "-" .. row.seq,
    type = "track",
    event = row.activity,
    userId = row.case_id,
    timestamp = row.timestamp,
    channel = "bank",
    properties = properties,
  }
end
