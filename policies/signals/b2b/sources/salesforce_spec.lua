return {
  {
    name = "a lead is made",
    file = "fixtures/salesforce_lead_created.json",
    events = {
      { type = "identify", userId = "salesforce-00Q5e00000XyZabEAF", timestamp = 1767603612000,
        messageId = "salesforce-0002343d-9d90-e395-ed20-cf416ba652ad-1-1-1",
        traits = { email = "kj@orbit.example", phone = "+1 757 555 0100", firstName = "Katherine", lastName = "Johnson",
          employees = 400, industry = "aerospace" } },
      { event = "crm.lead_created", messageId = "salesforce-0002343d-9d90-e395-ed20-cf416ba652ad-1-1-2",
        properties = { source = "web", status = "open - not contacted" } },
    },
  },
  {
    name = "one change of two contacts, a won opportunity, an account, a lead that has our id",
    file = "fixtures/salesforce_changes.jsonl",
    events = {
      { type = "identify", userId = "salesforce-0035e000003AAA1AAO", traits = { industry = "logistics" },
        messageId = "salesforce-0003-ab-2-1" },
      { type = "identify", userId = "salesforce-0035e000003AAA2AAO", traits = { industry = "logistics" },
        messageId = "salesforce-0003-ab-2-2" },
      { event = "crm.opportunity_won", userId = "salesforce-0065e000009OPP1AAM",
        properties = { opportunity = "0065e000009OPP1AAM", amount = 12500.5 } },
      { type = "alias", userId = "u-33", previousId = "salesforce-00Q5e00000XyZabEAF" },
      { type = "identify", userId = "u-33" },
    },
    skipped = "other changes",
  },
  {
    name = "an outbound message",
    file = "fixtures/salesforce_outbound.json",
    events = { { type = "identify", userId = "salesforce-00Q5e00000QwErtEAF", timestamp = 1767604200000,
      messageId = "salesforce-04l5e00000ABCDEFGH",
      traits = { email = "hedy@lamarr.example", firstName = "Hedy", lastName = "Lamarr", industry = "media", employees = 25 } } },
  },
  {
    name = "what is neither shape is refused",
    json = [[{"hello": "world"}]],
    refused = "no rule is for it",
  },
}
