-- The main tracked events. Senders that claim nothing are held to them by name.
return {
  {
    name = "feature_used",
    version = 1,
    on = { { type = "track", event = "Feature Used" } },
    description = "Somebody used a part of the product.",
    fields = {
      { path = "properties.feature", type = "text", min_length = 1, max_length = 200, description = "Which one." },
    },
  },
  {
    name = "call_logged",
    version = 1,
    on = { { type = "track", event = "crm.call_logged" } },
    description = "Sales talked to the lead.",
    fields = {
      { path = "properties.minutes", type = "number", at_least = 0, at_most = 1440 },
    },
  },
}
