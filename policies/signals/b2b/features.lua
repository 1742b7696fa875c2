-- Features of the set b2b. The form of a declaration is explained in docs/features.md.
return {
  -- Who: the profile, as forms, the CRM and enrichment say it.
  { name = "email_domain", op = "last", on = { { type = "identify" } }, of = "traits.email", part = "domain", class = "profile",
    description = "What follows the @ of the lead's address, in lower case." },
  { name = "is_known", op = "flag", on = { { type = "identify" } }, where = { { path = "traits.email", exists = true } },
    class = "profile", description = "1 once the lead gave an address." },
  { name = "is_employee", op = "flag", on = { { type = "identify" } },
    where = { { path = "traits.employee", is = true } }, class = "profile", description = "1 for colleagues of ours." },
  { name = "company_size", op = "last", on = { { type = "identify" }, { type = "group" } }, of = "traits.employees", class = "profile",
    description = "Employees of the lead's company." },
  { name = "industry", op = "last", on = { { type = "identify" }, { type = "group" } }, of = "traits.industry", text = true,
    part = "lower", class = "profile", description = "The company's industry, in lower case." },
  { name = "region", op = "last", on = { { type = "identify" }, { type = "group" } }, of = "traits.region", text = true,
    part = "lower", class = "profile", description = "emea, amer or apac." },
  { name = "account_tier", op = "last", on = { { type = "identify" }, { type = "group" } }, of = "traits.tier", text = true,
    part = "lower", class = "profile", description = "strategic, mid or small, as sales planned the account." },
  { name = "seniority", op = "last", on = { { type = "identify" } }, of = "traits.seniority", text = true, part = "lower",
    class = "profile", description = "executive, manager or individual." },

  -- Web.
  { name = "page_views_7d", op = "count", on = { { type = "page" } }, window = "7d", description = "Pages seen in a week." },
  { name = "sessions", op = "sessions", on = { { type = "page" }, { channel = "product" } }, session_gap = "30m",
    description = "Visits, half an hour apart." },
  { name = "pricing_views_7d", op = "count", on = { "Pricing Viewed", { type = "page", event = "Pricing" } }, window = "7d",
    description = "Looks at the price list in a week." },
  { name = "docs_views_30d", op = "count", on = { "Docs Viewed", { type = "page", event = "Docs" } }, window = "30d", tile = "1d",
    description = "Pages of the manual in a month." },
  { name = "demo_requested_30d", op = "flag", on = { "Demo Requested" }, window = "30d", tile = "1d",
    description = "1 when a demo was asked for in the last month." },
  { name = "demo_attended", op = "flag", on = { "Demo Attended" }, description = "1 once the lead came to a demo." },
  { name = "case_studies_30d", op = "count", on = { "Case Study Downloaded" }, window = "30d", tile = "1d",
    description = "Case studies downloaded in a month." },

  -- Product.
  { name = "trial_started", op = "flag", on = { "Trial Started" }, description = "1 once a trial began." },
  { name = "usage_7d", op = "count", on = { { type = "track", channel = "product" } }, window = "7d",
    description = "Things done in the product in a week." },
  { name = "usage_velocity_7d", op = "velocity", on = { { type = "track", channel = "product" } }, window = "7d",
    description = "Use in this week over use in the week before." },
  { name = "active_days", op = "streak", on = { { channel = "product" } }, description = "Days in a row in the product." },
  { name = "features_tried", op = "distinct", on = { { event = "Feature Used" } }, of = "properties.feature",
    description = "Different features used." },
  { name = "invites_30d", op = "count", on = { "Teammate Invited" }, window = "30d", tile = "1d",
    description = "Colleagues invited in a month." },
  { name = "integrations", op = "count", on = { "Integration Connected" }, description = "Other systems connected." },

  -- E-mail.
  { name = "email_clicks_7d", op = "count", on = { "Email Link Clicked" }, window = "7d", description = "Links clicked in a week." },
  { name = "unsubscribed", op = "flag", on = { "Unsubscribed" }, description = "1 once the lead asked for no more mail." },

  -- Sales, and silence.
  { name = "talks_30d", op = "count", on = { "crm.call_logged", "crm.meeting_held" }, window = "30d", tile = "1d",
    description = "Calls and meetings in a month." },
  { name = "interest", op = "decay", on = { { type = "page" }, { channel = "product" }, { event = "Email Link Clicked" } },
    half_life = "7d", description = "All doings of the lead, each halved every week." },
  { name = "idle", op = "recency", on = { { type = "page" }, { channel = "product" }, { event = "Email Link Clicked" } },
    description = "Since the lead itself last did something." },
}
