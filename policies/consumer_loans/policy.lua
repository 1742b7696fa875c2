-- consumer_loans: whom the bank's desk calls next about a loan application. 10 points double the odds of an approval.
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, route, action = require "journey", require "route", require "action"
local all, any, go = signal.all, signal.any, journey.go
local f = signal.features "loans@1"

policy "consumer_loans" {
  owner = "lending-ops@example.com",
  rationale = "An applicant who answers is called while it is warm; one who waits is called because of the waiting.",
  boundary = "Fair lending: ranks whom to call next, and nothing else. It never approves, refuses, prices or delays " ..
    "an application, and knows nothing of the person but the amount asked for.",
  models = { fit = "loan_fit", engagement = "loan_engagement" },
  team = "desks",
  eligible = f.amount_req:is_known(), -- before that there is no application
}

belief.channel "applicant" { reliability = 1.0, at_most = 50 } -- what the applicant did
belief.channel "desk" { reliability = 0.7, at_most = 25 } -- what we did, which says less
belief.channel "waiting" { at_most = 30 }

belief.evidence "answered" { when = f.offer_came_back, points = 35, channel = "applicant",
  why = "Signed and sent back: only papers stand between." }
belief.evidence "papers_move" { when = f.papers_calls:at_least(0.5), points = 15, half_life = "7d",
  channel = "applicant", why = "Answers questions about papers." }
belief.evidence "fresh_offer" { when = f.offer_age:under "2d", points = 20, half_life = "3d", channel = "desk",
  why = "The offer lies on the table." }
belief.evidence "second_offer" { when = f.offers_sent:at_least(2), points = 10, channel = "desk",
  why = "Terms were talked about." }
belief.evidence "called_often" { when = f.offer_calls:at_least(6), points = -12, channel = "desk",
  why = "Six calls without an answer are an answer." }
belief.evidence "kept_waiting" { when = f.desk_idle:at_least "3d", points = 20, channel = "waiting",
  why = "Nobody is left lying because of a score." }
belief.gate "somebody_answers" { when = any { f.offer_came_back, f.papers_calls:at_least(0.5) },
  why = "The applicant acted, not only we." }

score.combined { 0.2 * score.fit + 0.8 * score.engagement }
score.adjust "waits_long" { when = f.desk_idle:at_least "5d", points = 5,
  why = "Waiting must not count against anybody." }
score.adjust "in_touch" { when = belief.passed "somebody_answers", points = 4, why = "A talk that goes both ways." }
score.bands { { "quiet", 0 }, { "open", 35 }, { "likely", 55 } }

journey.start "submitted"
journey.stage "submitted" {
  go "preaccepted" { on = "A_PREACCEPTED", why = "The first look went well." },
  go "declined" { on = "A_DECLINED", why = "The bank said no; not this policy." },
  go "cancelled" { on = "A_CANCELLED", why = "The applicant stepped back." },
}
journey.stage "preaccepted" {
  go "offer" { on = "O_SENT", why = "An offer is out." },
  go "declined" { on = "A_DECLINED", why = "The bank said no; not this policy." },
  go "cancelled" { on = "A_CANCELLED", why = "The applicant stepped back." },
}
journey.stage "offer" {
  go "validating" { on = "O_SENT_BACK", why = "The applicant said yes; now the papers." },
  go "approved" { on = { "A_APPROVED", "A_REGISTERED", "A_ACTIVATED" }, why = "The bank said yes; not this policy." },
  go "declined" { on = "A_DECLINED", why = "The bank said no; not this policy." },
  go "cancelled" { on = "A_CANCELLED", why = "The applicant stepped back." },
  go "offer_quiet" { after = "14d", why = "Two weeks without an answer." },
}
journey.stage "offer_quiet" {
  go "offer" { on = "O_SENT", why = "A new offer is out." },
  go "validating" { on = "O_SENT_BACK", why = "Late, but a yes." },
  go "approved" { on = { "A_APPROVED", "A_REGISTERED", "A_ACTIVATED" }, why = "The bank said yes; not this policy." },
  go "declined" { on = "A_DECLINED", why = "The bank said no; not this policy." },
  go "cancelled" { on = "A_CANCELLED", why = "The applicant stepped back." },
}
journey.stage "validating" {
  go "approved" { on = { "A_APPROVED", "A_REGISTERED", "A_ACTIVATED" }, why = "The bank said yes; not this policy." },
  go "declined" { on = "A_DECLINED", why = "The bank said no; not this policy." },
  go "cancelled" { on = "A_CANCELLED", why = "The applicant stepped back." },
  go "offer" { on = "O_SENT", why = "New terms, a new offer." },
}
journey.final "approved"
journey.final "declined"
journey.final "cancelled"

route.on_enter "preaccepted"
route.otherwise "intake" { pick = "weighted", why = "One desk sees it through to the offer." }
route.on_enter "offer"
route.otherwise "offers" { pick = "weighted", why = "Who sends the offer calls about it." }
route.on_enter "validating"
route.otherwise "validation" { pick = "weighted", why = "Papers need other eyes." }

action.limits { per_lead = "1 in 1d", hold_out = "2% salt loans-2012" }
action.offer "call_for_papers" { stages = { "validating" }, utility = 0.6 * belief.intent + 0.3 * score.combined,
  why = "Closest to a decision." }
action.offer "call_about_offer" { stages = { "offer", "offer_quiet" },
  when = all { f.offer_calls:under(8), f.offer_age:at_least "1h" },
  utility = 0.4 * belief.intent + 0.4 * score.combined - 3 * f.offer_calls,
  why = "An hour to read it, then while it is warm; each call before makes the next worth less." }
action.offer "call_to_complete" { stages = { "preaccepted" }, utility = 0.5 * score.combined - 1 * f.completing_calls,
  why = "What is missing is quickest asked by telephone." }
action.offer "call_overdue" { stages = { "preaccepted", "offer", "offer_quiet", "validating" },
  when = f.desk_idle:at_least "7d",
  utility = 60, why = "After a week everybody is called, whatever the score." }
action.otherwise "wait" { utility = 8, why = "A call that nobody needs is a nuisance." }
