return {
  {
    name = "rows of an export, European numbers and dates",
    file = "fixtures/crm_export.csv",
    events = {
      { type = "identify", userId = "u-12", timestamp = 1767603600000, messageId = "crm_export-7001-05.01.2026 10:00-1",
        traits = { email = "ada@analytical.example", phone = "+49 30 5550100", firstName = "Ada", lastName = "Lovelace",
          employees = 1250, industry = "software", region = "emea", seniority = "executive" } },
      { event = "crm.stage_changed", properties = { stage = "opportunity", value = 12345.5, place = "Berlin, Germany" } },
      { type = "identify", userId = "crm-7002", traits = { email = "grace@navy.example", firstName = "Grace Brewster",
        lastName = "Hopper", employees = 80, industry = "shipping", region = "emea", seniority = "manager" } },
      { event = "crm.stage_changed", properties = { stage = "lead", place = "France" } },
      { event = "crm.stage_changed", userId = "crm-7004" },
    },
    skipped = "rejected",
    refused = "person: 'Employees' is no number",
  },
}
