-- Who a lead is, as forms sent it until the CRM took over: kept as long as some page still does.
return {
  {
    name = "profile",
    version = 1,
    on = { { type = "identify" } },
    description = "What an identify says of a lead and its company.",
    fields = {
      { path = "traits.email", type = "text", max_length = 320, personal = true },
      { path = "traits.company_size", type = "number", at_least = 0 },
    },
  },
}
