-- A bank's loan applications, as the bank's own systems wrote down what happened to each (BPI Challenge 2012): one event
-- an activity, named after it.
return {
  name = "applications",
  version = 1,
  owner = "lending-ops@example.com",
  rationale = "What was asked for, and what happened in the first day after the bank's first yes.",
  events = {
    "A_SUBMITTED", "A_PARTLYSUBMITTED", "A_PREACCEPTED", "A_ACCEPTED", "A_FINALIZED", "A_APPROVED", "A_REGISTERED",
    "A_ACTIVATED", "A_DECLINED", "A_CANCELLED",
    "O_SELECTED", "O_CREATED", "O_SENT", "O_SENT_BACK", "O_ACCEPTED", "O_CANCELLED", "O_DECLINED",
    "W_Afhandelen leads", "W_Completeren aanvraag", "W_Nabellen offertes", "W_Valideren aanvraag",
    "W_Nabellen incomplete dossiers", "W_Beoordelen fraude", "W_Wijzigen contractgegevens",
  },
  -- How it ended. No feature hears any of these, nor what follows from them (A_REGISTERED, A_ACTIVATED, O_ACCEPTED,
  -- O_CANCELLED, O_DECLINED): `run` looks.
  labels = {
    { name = "approved", event = "A_APPROVED", within = "400d", unless = { "A_DECLINED", "A_CANCELLED" } },
  },
}
