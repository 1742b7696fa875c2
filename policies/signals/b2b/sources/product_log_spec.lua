return {
  {
    name = "a day of a product",
    file = "fixtures/product_log.jsonl",
    events = {
      { type = "identify", userId = "u1", timestamp = 1767603600250,
        traits = { email = "mary@jackson.example", firstName = "Mary Winston", lastName = "Jackson" } },
      { event = "Trial Started", messageId = "product_log-a-1-2", properties = { plan = "team" } },
      { event = "Report Exported", timestamp = 1767603600000,
        properties = { feature = "report_exported", duration_ms = 1250, project = "p-9" } },
      { event = "Feature Used", anonymousId = "d-77", properties = { feature = "dark_mode" } },
      { type = "group", groupId = "company-42", traits = { employees = 1200, industry = "space" } },
    },
    skipped = "colleagues",
    refused = "'time' is no time of the form rfc3339",
  },
  {
    name = "an action of nobody is refused",
    json = [[{"id": "1", "time": "2026-01-05T09:05:00Z", "action": "x"}]],
    refused = "nothing stands where it should say who it is",
  },
}
