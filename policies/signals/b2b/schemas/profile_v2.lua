-- Who a lead is. An event that claims profile@1 becomes one of these by `upcast`, before any feature sees it; the journal
-- keeps what was sent.
return {
  {
    name = "profile",
    version = 2,
    on = { { type = "identify" } },
    description = "What an identify says of a lead and its company.",
    fields = {
      { path = "traits.email", type = "text", max_length = 320, personal = true },
      { path = "traits.employees", type = "number", at_least = 0, description = "Employees of the company." },
    },
    upcast = {
      { drop = "traits.employees" }, -- version 1 said nothing of it: whatever lay there
      { rename = "traits.company_size", to = "employees" },
    },
  },
}
