-- What is kept about a loan application. Events are the bank's own, by their activity: `event` is the name of the
-- activity, `properties.lifecycle` is SCHEDULE, START or COMPLETE, `properties.resource` who did it, and A_SUBMITTED
-- carries `properties.amount_req`. How an application ended (approved, registered, activated, declined, cancelled, and
-- the same of its offers) is what the models foretell: no feature looks at those events.
return {
  {
    name = "amount_req",
    op = "last",
    on = { { event = "A_SUBMITTED" } },
    of = "properties.amount_req",
    class = "profile",
    description = "The amount asked for, in euros.",
    owner = "revops@example.com",
  },
  {
    name = "completing_calls",
    op = "count",
    on = { { event = "W_Completeren aanvraag" } },
    where = { { path = "properties.lifecycle", is = "START" } },
    description = "How often somebody took up the work of completing the application: mostly calls.",
    owner = "revops@example.com",
  },
  {
    name = "papers_calls",
    op = "decay",
    on = { { event = "W_Nabellen incomplete dossiers" } },
    where = { { path = "properties.lifecycle", is = "START" } },
    half_life = "7d",
    description = "Calls for missing papers, halved each week.",
    owner = "revops@example.com",
  },
}
