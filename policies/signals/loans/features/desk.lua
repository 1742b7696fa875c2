-- The work of the bank's desk on the application.
return {
  {
    name = "lead_calls",
    op = "count",
    on = { { event = "W_Afhandelen leads" } },
    where = { { path = "properties.lifecycle", is = "START" } },
    description = "How often the lead desk worked on it.",
    owner = "revops@example.com",
  },
  {
    name = "desk_people",
    op = "distinct",
    on = {
      { event = "W_Afhandelen leads" },
      { event = "W_Completeren aanvraag" },
      { event = "W_Nabellen offertes" },
      { event = "W_Valideren aanvraag" },
      { event = "W_Nabellen incomplete dossiers" },
    },
    of = "properties.resource",
    description = "How many people of the bank worked on it.",
    owner = "revops@example.com",
  },
  {
    name = "desk_idle",
    op = "recency",
    on = {
      { event = "W_Afhandelen leads" },
      { event = "W_Completeren aanvraag" },
      { event = "W_Nabellen offertes" },
    },
    where = { { path = "properties.lifecycle", is = "START" } },
    description = "Time since somebody last took it up.",
    owner = "revops@example.com",
  },
  {
    name = "desk_days",
    op = "streak",
    on = {
      { event = "W_Afhandelen leads" },
      { event = "W_Completeren aanvraag" },
      { event = "W_Nabellen offertes" },
    },
    where = { { path = "properties.lifecycle", is = "START" } },
    description = "Days in a row with work on it.",
    owner = "revops@example.com",
  },
}
