-- What sales does with the lead, and how long it has been silent.
return {
  { name = "talks_30d", op = "count", on = { "crm.call_logged", "crm.meeting_held" }, window = "30d", tile = "1d",
    description = "Calls and meetings in a month." },
  { name = "interest", op = "decay", on = { { type = "page" }, { channel = "product" },
    { event = "Email Link Clicked" } },
    half_life = "7d", description = "All doings of the lead, each halved every week." },
  { name = "idle", op = "recency", on = { { type = "page" }, { channel = "product" },
    { event = "Email Link Clicked" } },
    description = "Since the lead itself last did something." },
}
