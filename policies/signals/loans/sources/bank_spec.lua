return {
  {
    name = "the amount goes with the submission",
    file = "fixtures/bank.csv",
    events = {
      { type = "track", event = "A_SUBMITTED", userId = "900001", messageId = "bank-900001-0", channel = "bank",
        timestamp = 1317422324546, properties = { lifecycle = "COMPLETE", resource = "112", amount_req = 20000 } },
      { event = "A_PARTLYSUBMITTED", properties = { lifecycle = "COMPLETE" } },
    },
  },
}
