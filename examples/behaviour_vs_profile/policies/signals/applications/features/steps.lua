-- How far it came, and how fast.
return {
  { name = "submitted_ago", op = "recency", on = "A_SUBMITTED", description = "Since it was submitted." },
  { name = "first_yes_weekday", op = "weekday", on = "A_PREACCEPTED", zone = "Europe/Amsterdam", description = "The weekday of the first yes." },
  { name = "accepted", op = "flag", on = "A_ACCEPTED", description = "The desk agreed with the first yes." },
  { name = "accepted_ago", op = "recency", on = "A_ACCEPTED", description = "Since then." },
  { name = "finalized", op = "flag", on = "A_FINALIZED", description = "The application is complete." },
  { name = "offers_made", op = "count", on = "O_CREATED", description = "Offers drawn up." },
  { name = "offers_sent", op = "count", on = "O_SENT", description = "Offers sent." },
  { name = "offer_ago", op = "recency", on = "O_SENT", description = "Since the last offer went out." },
  { name = "offer_came_back", op = "flag", on = "O_SENT_BACK", description = "The applicant sent an offer back." },
  { name = "depth", op = "funnel", within = "2d", steps = { "A_PREACCEPTED", "A_ACCEPTED", "O_SENT", "O_SENT_BACK" },
    description = "How far from the first yes to the applicant's answer, within two days." },
  { name = "call_then_offer", op = "sequence", within = "6h", steps = { { on = "W_Completeren aanvraag" }, { on = "O_SENT" } },
    description = "An offer within six hours of work on completing it." },
}
