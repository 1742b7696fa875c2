-- What the application system says of each activity.
return {
  {
    name = "activity",
    version = 1,
    on = { { type = "track", channel = "bank" } },
    description = "One step of a loan application.",
    fields = {
      { path = "properties.lifecycle", type = "text", is = { "SCHEDULE", "START", "COMPLETE" } },
      { path = "properties.resource", type = "text", max_length = 32, description = "Who did it, a number." },
      { path = "properties.amount_req", type = "number", at_least = 0, description = "The amount asked for." },
    },
  },
}
