-- What sources are expected to send. None of these refuses: what breaks one is counted, and logged once a window.
return {
  { name = "crm_names", on = { { type = "track", channel = "crm" } },
    names = { "crm.call_logged", "crm.meeting_held", "crm.opportunity_created", "crm.opportunity_won",
      "crm.opportunity_lost", "crm.lead_rejected", "crm.lead_disqualified", "crm.lead_requalified", "crm.lead_accepted",
      "crm.owner_set", "crm.owner_cleared", "crm.stage_set" },
    why = "Another name from the CRM is a mapping that somebody changed." },
  { name = "email_known", on = { { type = "identify" } }, path = "traits.email", nulls = 0.5, window = "1h",
    why = "Forms without an address give leads that nobody can answer." },
}
