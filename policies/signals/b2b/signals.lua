-- What a B2B software company hears of its leads: web, product, e-mail and CRM events in the words of the Segment spec.
-- A change that changes a feature's value is a new version; the policies that read this set then say so too.
return {
  name = "b2b",
  version = 4,
  owner = "revops@example.com",
  rationale = "Few signals, each of which a person can explain. Windows of a week or a month, as sales works.",
  -- The events that may be waited for in a journey: `check` knows a misspelt one by this list.
  events = {
    "Pricing Viewed", "Demo Requested", "Demo Attended", "Trial Started", "Project Created", "Report Exported",
      "Feature Used",
    "Integration Connected", "Teammate Invited", "Email Delivered", "Email Opened", "Email Link Clicked",
      "Unsubscribed",
    "Case Study Downloaded", "Docs Viewed",
    "crm.call_logged", "crm.meeting_held", "crm.opportunity_created", "crm.opportunity_won", "crm.opportunity_lost",
    "crm.lead_rejected", "crm.lead_disqualified", "crm.lead_requalified", "crm.lead_accepted", "crm.owner_set",
    "crm.owner_cleared", "crm.stage_set", "crm.contact_created", "crm.lead_created", "crm.stage_changed", "crm.opportunity_moved",
    "Subscription Started", "Subscription Changed", "Subscription Cancelled", "Invoice Paid", "Payment Failed",
      "Checkout Completed",
  },
  -- Encrypted under the lead's own key before they are stored, and never shown.
  personal = {
    "traits.email", "traits.phone", "traits.firstName", "traits.lastName", "traits.name", "context.ip",
      "properties.email",
  },
}
