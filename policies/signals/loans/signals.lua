-- What a bank's application system says of each loan application: one event an activity, named after it, with
-- properties.lifecycle (SCHEDULE, START, COMPLETE) and properties.resource (who did it). The applicant is a number.
return {
  name = "loans",
  version = 1,
  owner = "revops@example.com",
  rationale = "The desk's own work and the applicant's answers, so that the next call goes where it helps. Nothing " ..
    "about the person but the amount asked for.",
  events = {
    "A_SUBMITTED", "A_PARTLYSUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "A_FINALIZED", "A_APPROVED", "A_REGISTERED",
      "A_ACTIVATED",
    "A_DECLINED", "A_CANCELLED",
    "O_SELECTED", "O_CREATED", "O_SENT", "O_SENT_BACK", "O_ACCEPTED", "O_CANCELLED", "O_DECLINED",
    "W_Afhandelen leads", "W_Completeren aanvraag", "W_Nabellen offertes", "W_Valideren aanvraag",
      "W_Nabellen incomplete dossiers",
    "W_Beoordelen fraude", "W_Wijzigen contractgegevens",
  },
  -- What scores foretell: the bank approves within a month, and neither side withdraws before.
  labels = {
    { name = "approved_30d", event = "A_APPROVED", within = "30d", unless = { "A_DECLINED", "A_CANCELLED" } },
  },
  -- None of these is in the bank's export; should a field of that name ever come, it is encrypted before it is stored.
  personal = {
    "traits.email", "traits.phone", "traits.firstName", "traits.lastName", "traits.name", "context.ip",
      "properties.email",
  },
}
