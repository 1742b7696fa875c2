-- Offers: sent, called after, answered.
return {
  {
    name = "offers_sent",
    op = "count",
    on = { { event = "O_SENT" } },
    description = "Offers sent to the applicant.",
    owner = "revops@example.com",
  },
  {
    name = "offer_age",
    op = "recency",
    on = { { event = "O_SENT" } },
    description = "Time since the last offer went out.",
    owner = "revops@example.com",
  },
  {
    name = "offer_calls",
    op = "count",
    on = { { event = "W_Nabellen offertes" } },
    where = { { path = "properties.lifecycle", is = "START" } },
    description = "Calls after an offer.",
    owner = "revops@example.com",
  },
  {
    name = "offer_came_back",
    op = "flag",
    on = { { event = "O_SENT_BACK" } },
    description = "The applicant sent the offer back, signed or with papers.",
    owner = "revops@example.com",
  },
}
