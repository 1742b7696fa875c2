-- What the bank's desk did about it. START is somebody taking the work up, COMPLETE putting it down, SCHEDULE a plan.
local function work(name) return { { event = name } } end
local leads, completing = work "W_Afhandelen leads", work "W_Completeren aanvraag"
local calling, validating = work "W_Nabellen offertes", work "W_Valideren aanvraag"
local papers, fraud = work "W_Nabellen incomplete dossiers", work "W_Beoordelen fraude"
local any_work = {
  { event = "W_Afhandelen leads" }, { event = "W_Completeren aanvraag" }, { event = "W_Nabellen offertes" },
  { event = "W_Valideren aanvraag" }, { event = "W_Nabellen incomplete dossiers" }, { event = "W_Beoordelen fraude" },
}
local function is(lifecycle) return { { path = "properties.lifecycle", is = lifecycle } } end
local started, planned = is "START", is "SCHEDULE"

return {
  { name = "lead_starts", op = "count", on = leads, where = started, description = "The lead desk took it up." },
  { name = "completing_starts", op = "count", on = completing, where = started, description = "Somebody took up completing it: mostly calls." },
  { name = "completing_starts_8h", op = "count", window = "8h", on = completing, where = started, description = "The same in the last eight hours." },
  { name = "completing_plans", op = "count", on = completing, where = planned, description = "Completing was planned (anew)." },
  { name = "completing_ago", op = "recency", on = completing, where = started, description = "Since that was last taken up." },
  { name = "offer_calls", op = "count", on = calling, where = started, description = "Calls after an offer." },
  { name = "offer_call_plans", op = "count", on = calling, where = planned, description = "Such calls that were planned." },
  { name = "offer_call_ago", op = "recency", on = calling, where = started, description = "Since the last such call." },
  { name = "validating_starts", op = "count", on = validating, where = started, description = "The validating desk took it up." },
  { name = "papers_calls", op = "count", on = papers, where = started, description = "Calls for missing papers." },
  { name = "fraud_looks", op = "count", on = fraud, description = "It was looked at for fraud." },
  { name = "starts", op = "count", on = any_work, where = started, description = "Work taken up, of all kinds." },
  { name = "start_decay", op = "decay", half_life = "6h", on = any_work, where = started, description = "The same, halved every six hours." },
  { name = "work_ago", op = "recency", on = any_work, where = started, description = "Since somebody last took it up." },
  { name = "work_gap", op = "gap", stat = "mean", on = any_work, where = started, description = "Between two times, on average." },
  { name = "work_sessions", op = "sessions", session_gap = "1h", on = any_work, description = "Runs of work no more than an hour apart." },
  { name = "work_time", op = "session_length", stat = "total", session_gap = "1h", on = any_work, description = "How long these lasted in all." },
  { name = "work_days", op = "active_days", window = "3d", zone = "Europe/Amsterdam", on = any_work, where = started,
    description = "Days with work on it." },
  { name = "desk_people", op = "distinct", of = "properties.resource", on = any_work, where = started,
    description = "People of the bank who worked on it." },
  { name = "work_hour", op = "time_of_day", zone = "Europe/Amsterdam", on = any_work, where = started, description = "The hour of the last work." },
}
