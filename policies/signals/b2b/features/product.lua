-- What the lead does in the product.
return {
  { name = "trial_started", op = "flag", on = { "Trial Started" }, description = "1 once a trial began." },
  { name = "usage_7d", op = "count", on = { { type = "track", channel = "product" } }, window = "7d",
    description = "Things done in the product in a week." },
  { name = "usage_velocity_7d", op = "velocity", on = { { type = "track", channel = "product" } }, window = "7d",
    description = "Use in this week over use in the week before." },
  { name = "active_days", op = "streak", on = { { channel = "product" } },
    description = "Days in a row in the product." },
  { name = "features_tried", op = "distinct", on = { { event = "Feature Used" } }, of = "properties.feature",
    description = "Different features used." },
  { name = "invites_30d", op = "count", on = { "Teammate Invited" }, window = "30d", tile = "1d",
    description = "Colleagues invited in a month." },
  { name = "evaluation_depth", op = "funnel", within = "14d", window = "30d", pending = 8,
    steps = { "Trial Started", "Project Created", { "Integration Connected", "Teammate Invited" } },
    description = "How far a trial came in two weeks: 1 begun, 2 a project, 3 with other people or systems." },
  { name = "integrations", op = "count", on = { "Integration Connected" }, description = "Other systems connected." },
}
