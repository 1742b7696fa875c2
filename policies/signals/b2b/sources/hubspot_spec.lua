return {
  {
    name = "a contact is made, named, staged and tied to our user",
    file = "fixtures/hubspot_contacts.json",
    events = {
      { type = "track", event = "crm.contact_created", userId = "hubspot-39580875173", channel = "crm",
        timestamp = 1767603600123, messageId = "hubspot-2417381-39580875173-3181526809-1767603600123",
        properties = { source = "crm_ui", portal = 44297518 } },
      { type = "identify", userId = "hubspot-39580875173", traits = { email = "grace@harbour.example" } },
      { type = "track", event = "crm.stage_changed",
        properties = { stage = "salesqualifiedlead", source = "automation_platform" } },
      { type = "identify", traits = { employees = 250 } },
      { type = "alias", previousId = "hubspot-39580875173", userId = "u-815" },
    },
    skipped = "other properties",
  },
  {
    name = "a deal is made, moved and won",
    file = "fixtures/hubspot_deals.json",
    events = {
      { event = "crm.opportunity_created", userId = "hubspot-deal-20811735544", properties = { deal = 20811735544 } },
      { event = "crm.opportunity_moved", properties = { deal = 20811735544, stage = "presentationscheduled" } },
      { event = "crm.opportunity_won", userId = "hubspot-deal-20811735544" },
    },
  },
  {
    name = "each merged contact becomes the one that stays",
    file = "fixtures/hubspot_merge.json",
    events = {
      { type = "alias", previousId = "hubspot-39580875201", userId = "hubspot-39580875173" },
      { type = "alias", previousId = "hubspot-39580875202", userId = "hubspot-39580875173" },
    },
  },
  {
    name = "a property that was emptied says nothing",
    json = [[{"eventId": 1, "subscriptionId": 1, "objectId": 5, "occurredAt": 1767603600123, "subscriptionType":
      "contact.propertyChange", "propertyName": "email", "propertyValue": ""}]],
    skipped = "other properties",
  },
  {
    name = "seniority is told in our words",
    json = [[{"eventId": 1, "subscriptionId": 1, "objectId": 5, "occurredAt": 1767603600123, "subscriptionType":
      "contact.propertyChange", "propertyName": "hs_seniority", "propertyValue": "vp"}]],
    events = { { type = "identify", traits = { seniority = "executive" } } },
  },
  {
    name = "a notification without its time is refused",
    json = [[{"eventId": 1, "subscriptionId": 1, "objectId": 5, "subscriptionType": "contact.creation"}]],
    refused = "'occurredAt' is missing",
  },
}
