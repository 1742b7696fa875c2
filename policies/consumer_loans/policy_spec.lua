-- What consumer_loans should make of applications; the courses are taken from the bank's own record. Run by `intent
-- test`.
local function submitted(amount)
  return { at = "2011-10-03T10:00:00+02:00", event = "A_SUBMITTED", userId = "173688",
    properties = { amount_req = amount, lifecycle = "COMPLETE",
    resource = "112" } }
end
local function work(after, activity, resource)
  return { after = after, event = activity, properties = { lifecycle = "START", resource = resource or "10862" } }
end
local function done(after, activity, resource)
  return { after = after, event = activity, properties = { lifecycle = "COMPLETE", resource = resource or "10862" } }
end

return {
  { name = "an application is no lead before the first look",
    events = { submitted(15000), done("1s", "A_PARTLYSUBMITTED", "112") },
    expect = { stage = "submitted", owner = "none", action = "wait", eligible = true } },

  { name = "declined within two minutes: the bank's word, not ours",
    events = { submitted(3000), done("1s", "A_PARTLYSUBMITTED"), done("40s", "A_DECLINED") },
    expect = { stage = "declined", action = "wait", owner = "none" } },

  { name = "pre-accepted goes to a desk and is called",
    events = { submitted(15000), done("30s", "A_PREACCEPTED", "112") },
    expect = { stage = "preaccepted", owner_in = { "desk_112", "desk_10982" }, action = "call_to_complete",
      held = "none" } },

  { name = "work between two systems arrives without an amount: not eligible, stays, is still scored",
    events = { { at = "2011-10-03T10:00:00+02:00", event = "A_PREACCEPTED", userId = "9",
      properties = { lifecycle = "COMPLETE" } } },
    expect = { stage = "submitted", eligible = false, ineligible = "amount_req is known", held = "not_eligible",
      action = "wait",
      min_combined = 1 } },

  { name = "an offer is not called about within the hour",
    events = {
      submitted(15000), done("30s", "A_PREACCEPTED", "112"),
      work("25h", "W_Completeren aanvraag"), done("5m", "A_ACCEPTED"), done("1m", "O_SELECTED"), done("1s",
        "O_CREATED"),
      done("1s", "O_SENT"),
      done("1m", "W_Completeren aanvraag"),
    },
    expect = { stage = "offer", action = "wait", owner_in = { "desk_10862", "desk_10913", "desk_11049" } } },

  { name = "a day later it is",
    events = {
      submitted(15000), done("30s", "A_PREACCEPTED", "112"),
      work("1h", "W_Completeren aanvraag"), done("5m", "A_ACCEPTED"), done("1s", "O_SENT"),
      work("26h", "W_Nabellen offertes"),
    },
    expect = { stage = "offer", action = "call_about_offer", min_intent = 10 } },

  { name = "two weeks without an answer",
    events = {
      submitted(15000), done("30s", "A_PREACCEPTED", "112"), done("1d", "O_SENT"),
      { after = "13d" },
      { after = "2d" },
    },
    expect_each = { {}, {}, { stage = "offer" }, { stage = "offer" },
      { stage = "offer_quiet", transitions = { "offer -> offer_quiet" } } } },

  { name = "the usual way to a yes",
    events = {
      submitted(20000), done("30s", "A_PREACCEPTED", "112"), done("11h", "A_ACCEPTED"), done("1s", "O_SENT"),
      work("7d", "W_Nabellen offertes", "10913"), done("2d", "O_SENT_BACK", "11049"),
      work("3d", "W_Valideren aanvraag", "10629"),
      done("32m", "A_REGISTERED", "10629"), done("0s", "A_APPROVED", "10629"), done("0s", "O_ACCEPTED", "10629"),
      done("0s", "A_ACTIVATED", "10629"),
    },
    expect_each = { {}, { stage = "preaccepted" }, { stage = "preaccepted" }, { stage = "offer" }, { stage = "offer" },
      { stage = "validating", owner_in = { "desk_10629", "desk_10609", "desk_10138" }, min_intent = 30 },
        { stage = "validating" },
      { stage = "approved" }, { stage = "approved", transitions = {} } },
    expect = { stage = "approved", action = "wait" } },

  { name = "who sent the offer back is called for papers",
    events = {
      submitted(20000), done("30s", "A_PREACCEPTED", "112"), done("1d", "O_SENT"), done("3d", "O_SENT_BACK", "11049"),
      work("25h", "W_Nabellen incomplete dossiers", "10609"),
    },
    expect = { stage = "validating", action = "call_for_papers", min_intent = 45 } },

  { name = "nobody is left lying because of a score",
    events = {
      submitted(3000), done("30s", "A_PREACCEPTED", "112"), work("1h", "W_Completeren aanvraag"), done("1h", "O_SENT"),
      work("1d", "W_Nabellen offertes"), work("1d", "W_Nabellen offertes"), work("1d", "W_Nabellen offertes"),
      work("1d", "W_Nabellen offertes"), work("1d", "W_Nabellen offertes"), work("1d", "W_Nabellen offertes"),
      work("1d", "W_Nabellen offertes"), work("1d", "W_Nabellen offertes"),
      done("8d", "O_CANCELLED"),
    },
    expect = { action = "call_overdue", held = "none" } },

  { name = "new terms lead back to an offer, and to its desk",
    events = {
      submitted(15000), done("30s", "A_PREACCEPTED", "112"), done("1d", "O_SENT"), done("4d", "O_SENT_BACK"),
      done("1d", "O_SENT"),
    },
    expect = { stage = "offer", transitions = { "validating -> offer" }, owner_in = { "desk_10862", "desk_10913",
      "desk_11049" } } },

  { name = "an applicant who steps back is left alone",
    events = {
      submitted(15000), done("30s", "A_PREACCEPTED", "112"), done("1d", "O_SENT"), done("4d", "A_CANCELLED"),
      work("8d", "W_Nabellen offertes"),
    },
    expect = { stage = "cancelled", action = "wait", transitions = {} } },
}
