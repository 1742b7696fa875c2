-- b2b_saas: from anonymous visitor to opportunity. 10 points double the odds; points are whole or tenths.
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, route, action = require "journey", require "route", require "action"
local all, any, none, go = signal.all, signal.any, signal.none, journey.go
local f = signal.features "b2b@4" -- versioned apart from this policy; a misspelt name stops `check`

policy "b2b_saas" {
  owner = "revops@example.com",
  rationale = "Behaviour decides when to talk; the profile only decides who can buy at all.",
  boundary = "Ranks and routes. Never prices, never refuses service.",
  models = { fit = "b2b_fit", engagement = "b2b_engagement" },
  team = "sales_team", -- people are data, reloaded apart from the rules
  eligible = none { f.email_domain:in_list "free_mail", f.is_employee }, -- customers have a stage of their own
}

-- Evidence of buying now, in points: in full while it holds, then halved by each half-life.
belief.channel "web" { reliability = 0.8, at_most = 30 }
belief.channel "product" { reliability = 1.0, at_most = 45 }
belief.channel "email" { reliability = 0.4, at_most = 10 }
belief.channel "sales" { reliability = 0.9, at_most = 25 }

belief.evidence "pricing_again" { when = f.pricing_views_7d:at_least(3), points = 25, half_life = "7d",
  channel = "web", why = "Compares plans." }
belief.evidence "reads_the_manual" { when = f.docs_views_30d:at_least(5), points = 10, half_life = "14d",
  channel = "web", why = "Somebody checks whether it would work for them." }
belief.evidence "reads_cases" { when = f.case_studies_30d:at_least(2), points = 10, half_life = "14d",
  channel = "web", why = "Looks for proof to show to others." }
belief.evidence "gone_quiet" { when = f.idle:at_least("10d"), points = -15,
  channel = "web", why = "Silence is evidence too." }
belief.evidence "usage_rising" { when = all { f.usage_velocity_7d:at_least(1.5), f.usage_7d:at_least(5) }, points = 20,
  half_life = "14d", channel = "product", why = "Half as much again as the week before, and more than a click or two." }
belief.evidence "habit" { when = f.active_days:at_least(3), points = 15, half_life = "7d",
  channel = "product", why = "Comes back day after day." }
belief.evidence "team_joins" { when = f.invites_30d:at_least(2), points = 25, half_life = "30d",
  channel = "product", why = "Buying is a group's work." }
belief.evidence "wired_in" { when = f.integrations:at_least(1), points = 15,
  channel = "product", why = "Connecting a system is work that only a serious evaluation is worth." }
belief.evidence "demo_then_prices" { when = f.demo_then_pricing_30d:at_least(1), points = 10, half_life = "7d",
  channel = "web", why = "Saw the demo, and looked at prices within three days of it." }
belief.evidence "mail_click" { when = f.email_clicks_7d:at_least(1), points = 10, half_life = "3d",
  channel = "email", why = "Came back, unless it was a scanner: hence the low reliability." }
belief.evidence "in_talks" { when = f.talks_30d:at_least(1), points = 20, half_life = "14d",
  channel = "sales", why = "Gives us time." }
belief.evidence "colleague_asked" { when = f.account_demo_ago:under("1d"), points = 15, half_life = "7d",
  channel = "sales", why = "Somebody of the same company asked for a demo within a day: they talk to each other." }
belief.gate "two_channels" { when = belief.channels:at_least(2), why = "No single campaign makes a lead." }

score.combined { 0.3 * score.fit + 0.7 * score.engagement }
score.adjust "competitor" { when = f.email_domain:in_list "competitors", points = -40, why = "Reads, never buys." }
score.adjust "asked_for_demo" { when = f.demo_requested_30d, points = 8, why = "Says it in so many words." }
score.adjust "compares_with_colleagues" { points = 10, -- `none`: the account's latest may be the lead's own
  when = all { f.pricing_velocity_7d:at_least(2), f.pricing_views_7d:at_least(2), f.account_demo_ago:under("1d"),
    none { f.demo_requested_30d } },
  why = "Twice as many looks at prices as the week before, within a day of a colleague's demo request." }
score.adjust "serious_trial" { when = f.evaluation_depth:at_least(3), points = 5,
  why = "From a trial to a project that others work in, in two weeks." }
score.adjust "no_mail_please" { when = f.unsubscribed, points = -5, why = "Wants distance; we keep it." }
score.bands { { "cold", 0 }, { "cool", 25 }, { "warm", 50 }, { "hot", 75 } }

journey.start "visitor"
journey.stage "visitor" {
  go "engaged" { when = any { belief.intent:at_least(20), f.is_known }, why = "Shows interest, or gave a name." },
}
journey.stage "engaged" {
  go "sql" { when = all { f.demo_requested_30d, f.is_known }, why = "Asked for us: no need to guess." },
  go "mql" { when = all { belief.intent:at_least(45), belief.passed "two_channels" },
    why = "Likely, by more than one sign." },
  go "nurture" { after = "21d", why = "Three weeks without getting warmer." },
}
journey.stage "mql" {
  go "sql" { when = any { all { f.demo_requested_30d, f.is_known }, score.combined:at_least(75) },
    why = "Asked for us, or as good as." },
  go "engaged" { when = belief.intent:under(30), why = "Cooled. 15 below entry, so that it does not flap." },
}
journey.stage "sql" {
  go "opportunity" { on = "crm.opportunity_created", why = "Sales says so." },
  go "nurture" { on = "crm.lead_rejected", why = "Sales has the last word." },
}
journey.stage "nurture" {
  go "mql" { when = all { belief.intent:at_least(45), belief.passed "two_channels" }, why = "Woke up for good." },
  go "opportunity" { on = "crm.opportunity_created", why = "Sales found its own way." },
}
journey.stage "opportunity" {
  go "customer" { on = "crm.opportunity_won", why = "Bought." },
  go "nurture" { on = "crm.opportunity_lost", why = "Not now is not never." },
}
journey.final "customer"

route.on_enter "sql" -- the first that matches wins; an owner set by hand is kept
route.to "strategic" { when = f.account_tier:is "strategic", pick = "weighted",
  why = "Large accounts have people of their own." }
route.to "emea" { when = f.region:is "emea", pick = "weighted", why = "Same hours, same law." }
route.to "amer" { when = f.region:is "amer", pick = "weighted", why = "Same hours." }
route.otherwise "inbound" { pick = "weighted", why = "Nobody stays without an owner." }

action.limits { per_lead = "1 in 3d", hold_out = "5% salt 2026q4" }
action.offer "call" { stages = { "sql" }, utility = 0.8 * belief.intent + 0.3 * score.combined,
  why = "Dear, and what was asked for." }
action.channel "mail" { consent = all { f.is_known, none { f.unsubscribed } }, at_most = "4 in 30d",
  why = "To whoever gave us the address and did not take it back, and not every week." }
action.offer "demo_invite" { stages = { "mql" }, channel = "mail", when = none { f.demo_attended }, cool_down = "14d",
  utility = 0.8 * belief.intent - 20, why = "Shows more than a mail." }
action.offer "case_study" { stages = { "engaged", "mql", "nurture" }, channel = "mail",
  utility = 0.3 * belief.intent, why = "Cheap, and of their trade." }
action.explore { rate = "2%", among = { "demo_invite", "case_study" },
  why = "To learn which of them works, with the odds in the decision." }
action.otherwise "wait" { utility = 5, why = "By default, leave people alone." }
