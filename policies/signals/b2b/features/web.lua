-- What the lead does on the web site. The form of a declaration is explained in docs/features.md.
return {
  { name = "page_views_7d", op = "count", on = { { type = "page" } }, window = "7d",
    description = "Pages seen in a week." },
  { name = "sessions", op = "sessions", on = { { type = "page" }, { channel = "product" } }, session_gap = "30m",
    description = "Visits, half an hour apart." },
  { name = "pricing_views_7d", op = "count", on = { "Pricing Viewed", { type = "page", event = "Pricing" } },
    window = "7d",
    description = "Looks at the price list in a week." },
  { name = "docs_views_30d", op = "count", on = { "Docs Viewed", { type = "page", event = "Docs" } }, window = "30d",
    tile = "1d",
    description = "Pages of the manual in a month." },
  { name = "demo_requested_30d", op = "flag", on = { "Demo Requested" }, window = "30d", tile = "1d",
    description = "1 when a demo was asked for in the last month." },
  { name = "demo_attended", op = "flag", on = { "Demo Attended" }, description = "1 once the lead came to a demo." },
  { name = "case_studies_30d", op = "count", on = { "Case Study Downloaded" }, window = "30d", tile = "1d",
    description = "Case studies downloaded in a month." },
}
