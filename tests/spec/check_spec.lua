--- What check finds: each case changes one thing in a policy that has no problems, and gets exactly the problems
--- listed, with their lines.
local sample = require "sample"

-- {what, changes, expected lines, files}
local CASES = {
  {
    "a stage that is said to be gone, and is there",
    { ['journey.final "won"'] = 'journey.was "mql" { now = "won", why = "W." }\njourney.final "won"' },
    { "policy.lua:30: journey.was 'mql': stage 'mql' is still there; only what is gone needs it" },
  },
  {
    "a stage that is gone to where there is none",
    { ['journey.final "won"'] = 'journey.was "cold" { now = "visiter", why = "W." }\njourney.final "won"' },
    { "policy.lua:30: journey.was 'cold': no stage 'visiter'; did you mean 'visitor'?" },
  },
  {
    "a stage that is gone twice, without a reason",
    {
      ['journey.final "won"'] = 'journey.was "cold" { now = "visitor", why = "W." }\njourney.was "cold" { now = "mql" }\njourney.final "won"',
    },
    {
      "policy.lua:31: journey.was 'cold' has no why: a rule says what it is for",
      "policy.lua:31: journey.was 'cold' is declared twice; first in policies/t/policy.lua:30",
    },
  },
  {
    "timers by business time without a calendar",
    { ['after = "30d"'] = 'after = "2 business days"' },
    {
      "policy.lua:28: business time needs to know when you are open: name a calendar in the policy's head, calendar = \"office_hours\" (data/office_hours.csv)",
    },
  },
  {
    "timers that can't be read",
    { ['after = "30d"'] = 'after = "2 busy days"', ['on = "crm.opportunity_won"'] = 'at = "9am"' },
    {
      "policy.lua:26: go 'won': at is '9am'; it takes a time of the day: \"09:00\", \"mon 09:00\" or \"business day 09:00\"",
      "policy.lua:28: go 'lost': after is '2 busy days'; it takes a time: \"7d\" (units w d h m s ms), \"4 business hours\", \"30 business minutes\" or \"2 business days\"",
    },
  },
  {
    "two timers, and a calendar of none",
    { ['after = "30d"'] = 'after = "30d", at = "09:00", calendar = "hours"', ['on = "crm.opportunity_won"'] = 'on = "crm.opportunity_won", calendar = "hours"' },
    {
      "policy.lua:26: mql -> won: calendar says nothing here: only business time and at go by one",
      "policy.lua:28: go 'lost': after and at are two timers; write two transitions",
    },
    { ["policies/t/data/hours.csv"] = "day,open,close,zone\nmon,09:00,17:00,UTC\n" },
  },
  -- stages inside of stages, regions, what is done on the way
  {
    "a stage inside of none",
    { ['journey.stage "mql" {'] = 'journey.stage "mql" { inside = "opn",', ['journey.final "won"'] = 'journey.stage "open" { start = "mql" }\njourney.final "won"' },
    {
      "policy.lua:25: stage 'mql': no stage 'opn' to be inside of; did you mean 'open'?",
      "policy.lua:30: stage 'open' can't be reached from 'visitor'",
      "policy.lua:30: stage 'open' has no way out; write journey.final \"open\" when that is meant",
      "policy.lua:30: stage 'open': start is 'mql', which is not inside it",
    },
  },
  {
    "a stage with others inside it and no start",
    { ['journey.stage "mql" {'] = 'journey.stage "mql" { inside = "visitor",' },
    {
      "policy.lua:22: stage 'visitor' has stages inside it and no start: in which of them does a lead begin that comes here? start = \"mql\"",
      "policy.lua:23: stage 'visitor' goes to itself; only with on, after or at, which fire once, is that of use", -- it is in mql
    },
  },
  {
    "stages inside of each other",
    {
      ['journey.stage "mql" {'] = 'journey.stage "mql" { inside = "visitor", start = "visitor",',
      ['journey.stage "visitor" {'] = 'journey.stage "visitor" { inside = "mql", start = "mql",',
    },
    { "policy.lua:22: stage 'visitor' lies inside of more than 3 others, or inside of itself" },
  },
  {
    "a transition that an inner one forestalls in each stage inside, and one only in one",
    {
      ['journey.stage "mql" {'] = 'journey.stage "open" { start = "mql",\n  go "lost" { on = "crm.opportunity_won", why = "W." },\n  go "lost" { on = "crm.lead_rejected", why = "W." },\n}\njourney.stage "mql" { inside = "open",\n  go "won" { on = "crm.lead_rejected", why = "W." },',
    },
    {
      "policy.lua:26: open -> lost never fires: 'mql -> won' in line 31 always does first",
      "policy.lua:27: open -> lost never fires: 'mql -> won' in line 30 always does first",
    },
  },
  {
    "a region that another machine leads into",
    {
      ['journey.final "won"'] = 'journey.region "mail" { start = "asked", why = "W." }\njourney.final "asked" { inside = "mail" }\njourney.final "won"',
      ['go "won"'] = 'go "asked" { on = "crm.lead_rejected", why = "W." },\n  go "mail" { on = "crm.opportunity_lost", why = "W." },\n  go "won"',
    },
    {
      "policy.lua:26: mql -> asked: 'asked' is of another region, which moves by itself: ask for it with journey.at",
      "policy.lua:27: mql -> mail: 'mail' is a region; name a stage inside it",
    },
  },
  {
    "a region whose stage is never reached",
    { ['journey.final "won"'] = 'journey.region "mail" { start = "no", why = "W." }\njourney.final "no" { inside = "mail" }\njourney.final "yes" { inside = "mail" }\njourney.final "won"' },
    { "policy.lua:32: stage 'yes' can't be reached from 'no'" },
  },
  {
    "resume of a stage with none inside it",
    { ['go "won" { on'] = 'go "won" { resume = true, on' },
    { "policy.lua:26: mql -> won: resume goes to the stage that the lead was in last inside 'won', and nothing lies inside it" },
  },
  {
    "more timers than can run at once",
    {
      ['journey.stage "mql" {'] = 'journey.stage "open" { start = "mql", go "won" { after = "1d", why = "W." }, go "won" { after = "2d", why = "W." } }\njourney.stage "mql" { inside = "open", go "won" { after = "3d", why = "W." }, go "won" { after = "4d", why = "W." },',
    },
    { "policy.lua:26: 5 timers can run at once (in stage 'mql', those around it, and the other regions); at most 4" },
  },
  {
    "what is done on the way, misspelt",
    {
      ['journey.stage "mql" {'] = 'journey.clear "pricing"\njourney.stage "mql" { on_entry = { journey.clear "pricin", "note" }, on_exit = { journey.clear "quiet" }, entri = 1,',
    },
    {
      "policy.lua:25: journey.clear 'pricing' stands in no on_entry or on_exit",
      "policy.lua:26: journey.clear: evidence 'quiet' has no half_life: it keeps nothing that could be cleared",
      "policy.lua:26: journey.clear: no evidence 'pricin'; did you mean 'pricing'?",
      "policy.lua:26: stage 'mql': no key 'entri'; did you mean 'entry'?",
      "policy.lua:26: stage 'mql': on_entry takes a list of journey.note \"…\" and journey.clear \"…\"; entry 2 is neither",
    },
  },
  {
    "where a lead is, asked for wrongly",
    {
      ['when = f.region:is_known(), utility'] = 'when = all { f.region:is_known(), journey.at "visiter", journey.entered "mql" }, utility',
      ['none { belief.passed "two", f.is_known } }'] = 'none { belief.passed "two", f.is_known }, journey.entered "mql" }',
    },
    {
      "policy.lua:27: mql -> visitor can't read 'entered mql': that is computed after it, and partly from it",
      "policy.lua:36: journey.at: no stage 'visiter'; did you mean 'visitor'?",
    },
  },
  -- names
  {
    "a misspelt feature",
    { ["f.is_known }"] = "f.is_knwon }" },
    { "policy.lua:23: no feature 'is_knwon' in b2b@4; did you mean 'is_known'?" },
  },
  {
    "a misspelt stage in go",
    { ['go "won"'] = 'go "wonn"' },
    { "policy.lua:26: no stage 'wonn'; did you mean 'won'?" }, -- and nothing of what it cuts off
  },
  {
    "a misspelt stage in an offer",
    { ['stages = { "mql" }'] = 'stages = { "mqll" }' },
    { "policy.lua:36: offer 'call': no stage 'mqll'; did you mean 'mql'?" },
  },
  {
    "a misspelt stage in on_enter",
    { ['on_enter "mql"'] = 'on_enter "mpl"' },
    { "policy.lua:32: route.on_enter: no stage 'mpl'; did you mean 'mql'?" },
  },
  {
    "a misspelt start",
    { ['start "visitor"'] = 'start "visiter"' },
    { "policy.lua:21: no stage 'visiter'; did you mean 'visitor'?" },
  },
  {
    "a misspelt channel",
    {
      ['channel = "web", why = "W." }\nbelief.evidence "quiet"'] = 'channel = "wep", why = "W." }\nbelief.evidence "quiet"',
    },
    {
      "policy.lua:14: evidence 'pricing': no channel 'wep'; did you mean 'web'?",
      "policy.lua:17: 'channels at least 2' can never hold: needs 2, 'channels' reaches at most 1",
    },
  },
  {
    "a misspelt gate",
    { ['passed "two"'] = 'passed "tow"' },
    {
      "policy.lua:17: warning: gate 'two' opens nothing: no rule asks belief.passed \"two\"",
      "policy.lua:27: no gate 'tow'; did you mean 'two'?",
    },
  },
  {
    "a misspelt team",
    { ['route.to "emea"'] = 'route.to "emae"' },
    { "policy.lua:33: route.to 'emae': no team 'emae' in data/people.csv; did you mean 'emea'?" },
  },
  {
    "a misspelt list",
    { ['in_list "free"'] = 'in_list "fre"' },
    { "policy.lua:10: no data file 'fre' (data/fre.csv); did you mean 'free'?" },
  },
  {
    "a misspelt team file",
    { ['team = "people"'] = 'team = "poeple"' },
    { "policy.lua:6: no data file 'poeple' (data/poeple.csv); did you mean 'people'?" },
  },
  {
    "a misspelt key",
    { ['half_life = "7d"'] = 'halflife = "7d"' },
    { "policy.lua:14: evidence 'pricing': no key 'halflife'; did you mean 'half_life'?" },
  },
  {
    "a misspelt key of the head",
    { ['boundary = "Nothing."'] = 'boundry = "Nothing."' },
    {
      "policy.lua:6: policy 't' has no boundary",
      "policy.lua:6: policy 't': no key 'boundry'; did you mean 'boundary'?",
    },
  },
  {
    "a misspelt method",
    { ["views_7d:at_least(3)"] = "views_7d:atleast(3)" },
    { "policy.lua:14: 'pricing_views_7d' has no 'atleast'; did you mean 'at_least'?" },
  },
  {
    "a misspelt function of the library",
    { ["belief.gate"] = "belief.gaet" },
    { "policy.lua:17: belief has no 'gaet'; did you mean 'gate'?" },
  },
  {
    "a misspelt event",
    { ['"crm.opportunity_won"'] = '"crm.oportunity_won"' },
    { "policy.lua:26: no event 'crm.oportunity_won' in the signal set 'b2b'; did you mean 'crm.opportunity_won'?" },
  },
  {
    "an unknown signal set",
    { ['"b2b@4"'] = '"b2c@4"' },
    { "policy.lua:4: no signal set 'b2c' (signals/b2c/signals.lua); did you mean 'b2b'?" },
  },
  {
    "another version of the signal set",
    { ['"b2b@4"'] = '"b2b@3"' },
    {
      "policy.lua:4: signal set 'b2b' is at version 4; this policy was written for 3: see what changed, then write \"b2b@4\"",
    },
  },
  {
    "the folder's name",
    { ['policy "t"'] = 'policy "tt"' },
    { "policy.lua:6: the policy in folder 't' must have that name, not 'tt'" },
  },
  {
    "a mode there is not",
    { ['team = "people",'] = 'team = "people", mode = "acts",' },
    { "policy.lua:6: policy 't': mode is \"act\", \"score\" or \"collect\", not 'acts'; did you mean 'act'?" },
  },
  {
    "a model's role there is not",
    { ['fit = "b2b_fit"'] = 'fitt = "b2b_fit"' },
    {
      "policy.lua:18: score.combined reads score.fit, and policy 't' names no models.fit",
      "policy.lua:6: policy 't': models has fit and engagement, or split, not 'fitt'; did you mean 'fit'?",
    },
  },
  {
    "triggers that can't fire, or not for what they say",
    {
      ['team = "people",'] = 'team = "people", retrain = { { model = "b2b_fitt", age = "90d", why = "W." }, '
        .. '{ model = "b2b_fit", why = "W." }, { model = "b2b_fit", auc_under = 0.6, why = "W." }, '
        .. '{ model = "b2b_fit", drift = -1, age = "1d", why = "W." }, { model = "b2b_fit", age = "1d" }, '
        .. '{ model = "b2b_fit", label = "won", auc_falls = 0.05, over = "90h", least = 0.5, why = "W." } },',
    },
    {
      "policy.lua:6: retrain: the policy names no model 'b2b_fitt'; did you mean 'b2b_fit'?",
      "policy.lua:6: retrain of 'b2b_fit' never fires: it takes age, drift, auc_under or auc_falls",
      "policy.lua:6: retrain of 'b2b_fit': an AUC is one of a label: which?",
      "policy.lua:6: retrain of 'b2b_fit': drift is a population stability index above 0 (0.25 is much), not -1",
      "policy.lua:6: retrain 'b2b_fit' has no why: a rule says what it is for",
      'policy.lua:6: retrain of \'b2b_fit\': over is whole days, such as "28d"',
      "policy.lua:6: retrain of 'b2b_fit': least is a whole number from 1",
      "policy.lua:6: retrain of 'b2b_fit': the signal set b2b has no label 'won'",
    },
  },
  {
    "a split model beside another",
    { ['fit = "b2b_fit"'] = 'fit = "b2b_fit", split = "whole"' },
    {
      "policy.lua:6: policy 't': models.split is one model that gives both fit and engagement: name it alone, or name two "
        .. "without it",
    },
  },
  {
    "a mix beside a split model",
    { ['fit = "b2b_fit"'] = 'split = "whole"', ['engagement = "b2b_engagement"'] = "" },
    {
      "policy.lua:18: models.split names one model, and the combined score is that model's own: leave score.combined { … } "
        .. "out; points beside it come from score.adjust",
    },
  },

  -- declared twice, not at all, half
  {
    "evidence twice",
    { ['evidence "quiet"'] = 'evidence "pricing"' },
    { "policy.lua:15: evidence 'pricing' is declared twice; first in policies/t/policy.lua:14" },
  },
  {
    "a stage twice",
    { ['final "lost"'] = 'final "won"' },
    {
      "policy.lua:28: no stage 'lost'",
      "policy.lua:31: stage 'won' is declared twice; first in policies/t/policy.lua:30",
    },
  },
  { "two bands of one name", { ['"hot"'] = '"cold"' }, { "policy.lua:20: score.bands: 'cold' twice" } },
  {
    "a rule without a why",
    { ['points = 8, why = "W."'] = "points = 8" },
    { "policy.lua:19: adjust 'demo' has no why: a rule says what it is for" },
  },
  {
    "an empty why",
    { ['points = 8, why = "W."'] = 'points = 8, why = " "' },
    { "policy.lua:19: adjust 'demo': why is ' '; it takes a text" },
  },
  {
    "a method behind a dot",
    { ["when = f.demo_requested_30d"] = "when = f.usage_7d.at_least(3)" },
    { "policy.lua:19: write a colon before at_least: f.name:at_least(…), not f.name.at_least(…)" },
  },
  {
    "a declaration without its body",
    { ['score.adjust "demo" {'] = 'score.adjust "demo"\nlocal _ = {' },
    {
      "policy.lua:19: adjust 'demo' is named, but its { … } is missing",
      "policy.lua:20: warning: feature 'demo_requested_30d' is named, but no rule uses it",
    },
  },
  {
    "no start",
    { ['journey.start "visitor"'] = "" },
    { 'policy.lua:22: no journey.start "stage": where does a lead begin?' },
  },
  {
    "no otherwise",
    { ['action.otherwise "wait" { utility = 5, why = "W." }'] = "" },
    {
      'policy.lua:36: offers need an action.otherwise "name" { utility = …, why = … }: what is done when none is worth it?',
    },
  },
  {
    "two models and no mix",
    { ["score.combined { 0.3 * score.fit + 0.7 * score.engagement + 2 }"] = "" },
    { "policy.lua:6: two models and no score.combined { … }: how do fit and engagement add up?" },
  },
  {
    "go outside of a stage",
    { ['journey.final "won"'] = 'journey.final "won" go "won" { on = "crm.opportunity_won", why = "W." }' },
    { "policy.lua:30: go 'won' stands outside of a journey.stage" },
  },

  -- the journey
  {
    "a stage that nothing leads to",
    {
      ['journey.final "won"'] = 'journey.final "won" journey.stage "odd" { go "won" { on = "crm.opportunity_won", why = "W." } }',
    },
    { "policy.lua:30: stage 'odd' can't be reached from 'visitor'" },
  },
  {
    "a stage without a way out",
    { ['journey.final "lost"'] = 'journey.stage "lost" {}' },
    { "policy.lua:31: stage 'lost' has no way out; write journey.final \"lost\" when that is meant" },
  },
  {
    "a transition behind an unconditional one",
    { ['go "won" { on'] = 'go "lost" { why = "W." },\n  go "won" { on' },
    {
      "policy.lua:27: mql -> won never fires: 'mql -> lost' in line 26 always does first",
      "policy.lua:28: mql -> visitor never fires: 'mql -> lost' in line 26 always does first",
      "policy.lua:29: mql -> lost never fires: 'mql -> lost' in line 26 always does first",
    },
  },
  {
    "a transition behind a wider one",
    {
      ['go "mql" { when = any { belief.intent:at_least(20), f.is_known }'] = 'go "mql" { when = any { belief.intent:at_least(20), f.is_known }, why = "W." },\n go "lost" { when = all { belief.intent:at_least(30), f.is_employee }',
    },
    { "policy.lua:24: visitor -> lost never fires: 'visitor -> mql' in line 23 always does first" },
  },
  {
    "a stage that goes to itself",
    { ['go "visitor" {'] = 'go "mql" {' },
    { "policy.lua:27: stage 'mql' goes to itself; only with on, after or at, which fire once, is that of use" },
  },
  {
    "a journey that enters and leaves a stage at the same bound",
    {
      ['belief.intent:under(10), none { belief.passed "two", f.is_known }'] = "belief.intent:under(20)",
      ["any { belief.intent:at_least(20), f.is_known }"] = 'all { belief.intent:at_least(20), belief.passed "two" }',
    },
    {
      "policy.lua:27: warning: visitor -> mql and mql -> visitor use the same bound, 'intent at least 20' and 'intent "
        .. "under 20': a value that moves about 20 moves the lead to and fro; leave a gap between the two, or let one of "
        .. "them wait (after)",
    },
  },
  {
    "the same downwards, where both ends hold",
    {
      ['belief.intent:under(10), none { belief.passed "two", f.is_known }'] = 'f.idle:at_least("5d")',
      ["any { belief.intent:at_least(20), f.is_known }"] = 'f.idle:under("6d")',
    },
    {
      "policy.lua:17: warning: gate 'two' opens nothing: no rule asks belief.passed \"two\"",
      "policy.lua:27: warning: visitor -> mql and mql -> visitor can both hold from 5d to 6d: the lead would go to and fro",
    },
  },
  {
    "a journey that goes to and fro",
    {
      ['belief.intent:under(10), none { belief.passed "two", f.is_known }'] = "belief.intent:under(30)",
      ["any { belief.intent:at_least(20), f.is_known }"] = 'all { belief.intent:at_least(20), belief.passed "two" }',
    },
    {
      "policy.lua:27: warning: visitor -> mql and mql -> visitor can both hold from 20 to 30: the lead would go to and fro",
    },
  },
  {
    "on and after together",
    { ['after = "30d"'] = 'after = "30d", on = "crm.opportunity_lost"' },
    { "policy.lua:28: go 'lost': a timer firing is no event, so on and after can't both hold; write two transitions" },
  },

  -- numbers
  {
    "more than all evidence gives",
    { ["intent:at_least(20)"] = "intent:at_least(70)" },
    { "policy.lua:23: 'intent at least 70' can never hold: needs 70, all evidence reaches 60" },
  },
  {
    "more channels than there are",
    { ["channels:at_least(2)"] = "channels:at_least(3)" },
    { "policy.lua:17: 'channels at least 3' can never hold: needs 3, 'channels' reaches at most 2" },
  },
  {
    "below what can be",
    { ["intent:under(10)"] = "intent:under(-12)" },
    { "policy.lua:27: 'intent under -12' can never hold: 'intent' is at least -12" },
  },
  {
    "a flag of 2",
    { ["f.is_known }, why"] = "f.is_known:at_least(2) }, why" },
    { "policy.lua:23: 'is_known at least 2' can never hold: needs 2, 'is_known' reaches at most 1" },
  },
  {
    "a threshold that always holds",
    { ["f.is_known }, why"] = "f.invites_30d:at_least(0) }, why" },
    { "policy.lua:23: warning: 'invites_30d at least 0' holds whenever the value is known: it is never below 0" },
  },
  {
    "bands out of order",
    { ['{ "hot", 50 }'] = '{ "hot", 50 }, { "warm", 25 }' },
    { "policy.lua:20: score.bands: out of order: 'warm' from 25 comes after 'hot' from 50" },
  },
  {
    "bands that begin above 0",
    { ['{ "cold", 0 }, '] = "" },
    { "policy.lua:20: score.bands: the first begins at 0, so that every score has a band; 'hot' begins at 50" },
  },
  {
    "an offer that never wins",
    { ["1.2 * belief.intent - 4"] = "0.1 * belief.intent - 4" },
    { "policy.lua:36: offer 'call' can never win: it is worth at most 2, 'wait' 5" },
  },
  {
    "reliability above 1",
    { ["reliability = 0.8"] = "reliability = 1.8" },
    { "policy.lua:12: channel 'web': reliability is above 0 and at most 1" },
  },
  {
    "a mix that is no sum",
    { ["0.3 * score.fit"] = "0.01 * score.fit * score.engagement" },
    {
      "policy.lua:18: score.combined is a sum of shares of score.fit and score.engagement and a constant; other points come from score.adjust",
    },
  },
  {
    "a mix of other things",
    { ["0.3 * score.fit"] = "0.3 * f.usage_7d" },
    {
      "policy.lua:18: score.combined is a sum of shares of score.fit and score.engagement and a constant; other points come from score.adjust",
    },
  },

  -- types
  {
    "text as a number",
    { ['f.region:is "emea"'] = "f.region:at_least(3)" },
    { "policy.lua:33: 'region' is text: :at_least compares numbers; write :is(…) or :in_list(…)" },
  },
  {
    "text as a condition",
    { ["f.region:is_known()"] = "f.region" },
    { "policy.lua:36: 'region' is text: as a condition write :is(…), :in_list(…) or :is_known()" },
  },
  {
    "text in arithmetic",
    { ["1.2 * belief.intent"] = "1.2 * f.region" },
    { "policy.lua:36: 'region' is text and can't be reckoned with" },
  },
  {
    "a number as text",
    { ["views_7d:at_least(3)"] = 'views_7d:in_list "free"' },
    { "policy.lua:14: 'pricing_views_7d' is no text: :in_list looks for a text in a list" },
  },
  {
    "a number compared with a text",
    { ["views_7d:at_least(3)"] = 'views_7d:at_least("3")' },
    { "policy.lua:14: 'pricing_views_7d' is a number: :at_least takes a number, not the text '3'" },
  },
  {
    "a duration as a number",
    { ['idle:at_least("10d")'] = "idle:at_least(10)" },
    { "policy.lua:15: 'idle' is a duration: write :at_least \"10d\" (units w d h m s ms)" },
  },
  {
    "a duration that is none",
    { ['half_life = "7d"'] = 'half_life = "7 days"' },
    {
      "policy.lua:14: evidence 'pricing': half_life is '7 days'; it takes a duration such as \"7d\" (units w d h m s ms)",
    },
  },
  {
    "points that are text",
    { ["points = 8"] = 'points = "8"' },
    { "policy.lua:19: adjust 'demo': points is '8'; it takes a number" },
  },
  {
    "not in place of none",
    { ["when = f.demo_requested_30d"] = "when = not f.demo_requested_30d" },
    {
      "policy.lua:19: adjust 'demo': when is a boolean; it takes a condition; `not`, `and`, `or` and `==` are Lua's own and are done "
        .. "with at load: write none { … }, all { … }, any { … }",
    },
  },
  {
    "and in place of all",
    { ["when = f.demo_requested_30d"] = "when = f.usage_7d:at_least(3) and f.demo_requested_30d" },
    {
      "policy.lua:19: 'usage_7d at least 3' decides nothing: no rule uses it (Lua's `and` and `or` drop one side: write all { … } or "
        .. "any { … })",
    },
  },
  {
    "Lua's own comparison",
    { ["when = f.demo_requested_30d"] = "when = f.usage_7d >= f.sessions" },
    {
      "policy.lua:19: write :at_least(…), :above(…), :at_most(…), :under(…) or :is(…): a policy is data, and Lua's own comparison would "
        .. "be made once, at load",
    },
  },
  {
    "a power",
    { ["1.2 * belief.intent"] = "belief.intent ^ 2" },
    { "policy.lua:36: '^' is not allowed: its last bits differ between machines; multiply instead" },
  },
  {
    "division by what may be 0",
    { ["1.2 * belief.intent"] = "1 / f.usage_7d" },
    { "policy.lua:36: divide by a number that is written out and not 0: what is not known yet can't divide" },
  },
  {
    "a method of a condition",
    { ["views_7d:at_least(3)"] = "views_7d:at_least(3):at_most(9)" },
    {
      "policy.lua:14: a condition has no 'at_most'; put conditions together with all { … }, any { … }, none { … }",
    },
  },
  {
    "a change of the library",
    { ['belief.gate "two"'] = 'belief.gate = 1 belief.gate "two"' },
    { "policy.lua:17: no modification allowed: belief" },
  },

  -- order of computing
  {
    "evidence that reads belief",
    { ["f.invites_30d:at_least(2)"] = "belief.intent:at_least(2)" },
    { "policy.lua:16: evidence 'team' can't read 'intent': that is computed after it, and partly from it" },
  },
  {
    "an adjustment that reads the score",
    { ["when = f.demo_requested_30d"] = "when = score.combined:at_least(50)" },
    { "policy.lua:19: adjust 'demo' can't read 'score': that is computed after it, and partly from it" },
  },
  {
    "a gate that reads itself",
    { ["when = belief.channels:at_least(2)"] = 'when = all { belief.channels:at_least(2), belief.passed "two" }' },
    { "policy.lua:17: gate 'two' can't read gate 'two': only gates declared above it" },
  },

  -- routes, limits, data
  {
    "rules below otherwise",
    {
      ['pick = "weighted", why = "W." }\naction'] = 'pick = "weighted", why = "W." }\nroute.to "emea2" { team = "emea", when = f.is_known, why = "W." }\naction',
    },
    {
      "policy.lua:32: warning: route.on_enter 'mql' has no route.otherwise: a lead that matches no rule stays without an owner",
      "policy.lua:35: route.to 'emea2' is never tried: it stands below otherwise 'rest'",
    },
  },
  {
    "no otherwise in a route",
    { ['route.otherwise "rest" { pick = "weighted", why = "W." }'] = "" },
    {
      "policy.lua:32: warning: route.on_enter 'mql' has no route.otherwise: a lead that matches no rule stays without an owner",
    },
  },
  {
    "another way to pick",
    { ['pick = "weighted", why = "W." }\naction'] = 'pick = "roundrobin", why = "W." }\naction' },
    { "policy.lua:34: route.otherwise 'rest': pick is \"weighted\", \"round_robin\" or \"least_busy\", not 'roundrobin'; did you mean 'round_robin'?" },
  },
  {
    "a misspelt channel of an offer",
    {
      ['action.offer "call" {'] = 'action.channel "phone" { at_most = "1 in 9d", why = "W." }\naction.offer "call" { channel = "phonee",',
    },
    {
      "policy.lua:36: warning: action.channel 'phone': no offer goes out by it",
      'policy.lua:37: offer \'call\': no action.channel "phonee" { … }; did you mean \'phone\'?',
    },
  },
  {
    "a misspelt key of a channel",
    { ['action.offer "call" {'] = 'action.channel "phone" { at_most = "1 in 9d", konsent = 1, why = "W." }\naction.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': no key 'konsent'; did you mean 'consent'?" },
  },
  {
    "a channel that says nothing",
    { ['action.offer "call" {'] = 'action.channel "phone" { why = "W." }\naction.offer "call" { channel = "phone",' },
    { "policy.lua:36: warning: action.channel 'phone' says nothing but its name" },
  },
  {
    "consent by not having heard otherwise",
    { ['action.offer "call" {'] = 'action.offer "call" { consent = none { f.unsubscribed },' },
    {
      "policy.lua:36: offer 'call': consent holds of a lead of whom nothing is known, and that is no consent: ask for what was given "
        .. "(what was taken back goes beside it: all { given, none { taken_back } })",
    },
  },
  {
    "consent by a count of nothing",
    { ['action.offer "call" {'] = 'action.offer "call" { consent = any { f.region:is "emea", f.usage_7d:under(1) },' },
    {
      "policy.lua:36: offer 'call': consent holds of a lead of whom nothing is known, and that is no consent: ask for what was given "
        .. "(what was taken back goes beside it: all { given, none { taken_back } })",
    },
  },
  {
    "consent that is one",
    { ['action.offer "call" {'] = 'action.offer "call" { consent = all { f.region:is "emea", none { f.unsubscribed } },' },
    {},
  },
  {
    "a limit of an offer that says nothing beside the lead's",
    { ['action.offer "call" {'] = 'action.offer "call" { cool_down = "2d",' },
    { "policy.lua:36: warning: offer 'call': 'cool_down 2d' says nothing: per_lead '1 in 3d' keeps it already" },
  },
  {
    "a limit of an offer that says nothing beside its own",
    { ['action.offer "call" {'] = 'action.offer "call" { cool_down = "7d", at_most = { "2 in 14d", "1 in 8d" },' },
    {
      "policy.lua:36: warning: offer 'call': '2 in 14d' says nothing: 'cool_down 7d' keeps it already",
      "policy.lua:36: warning: offer 'call': 'cool_down 7d' says nothing: '1 in 8d' keeps it already",
    },
  },
  {
    "limits of a lead that say nothing beside each other",
    { ['"1 in 3d"'] = '{ "1 in 3d", "3 in 7d", "2 in 7d", "1 in 3d" }' },
    {
      "policy.lua:35: warning: action.limits 't': '1 in 3d' says nothing: '1 in 3d' keeps it already",
      "policy.lua:35: warning: action.limits 't': '3 in 7d' says nothing: '1 in 3d' keeps it already",
    },
  },
  {
    "an offer that another one always beats",
    {
      ['action.offer "call" {'] = 'action.offer "visit" { stages = { "mql", "won" }, utility = 100, why = "W." }\naction.offer "call" {',
    },
    { "policy.lua:37: offer 'call' can never win: it is worth at most 68, 'visit' at least 100" },
  },
  {
    "a limit of an offer that is none",
    { ['action.offer "call" {'] = 'action.offer "call" { at_most = "17 in 90d",' },
    { "policy.lua:36: offer 'call': at_most is \"1 in 3d\" (1 to 16 actions in a duration), not '17 in 90d'" },
  },
  {
    "an exploration of offers that are not there",
    { ['action.offer "call" {'] = 'action.offer "mail" { stages = { "mql" }, when = f.is_known, utility = 20, why = "W." } action.explore { rate = "2%", among = { "call", "maill" }, why = "W." } action.offer "call" {' },
    { "policy.lua:36: action.explore: no offer 'maill'; did you mean 'mail'?" },
  },
  {
    "an exploration of offers that never meet",
    { ['action.offer "call" {'] = 'action.offer "gift" { stages = { "visitor" }, when = f.is_known, utility = 20, why = "W." } action.explore { rate = "2%", among = { "call", "gift" }, why = "W." } action.offer "call" {' },
    { "policy.lua:36: action.explore: of call, gift no two are ever open in one stage" },
  },
  {
    "an exploration of which one offer never meets another",
    { ['action.offer "call" {'] = 'action.offer "mail" { stages = { "mql" }, when = f.is_known, utility = 20, why = "W." } action.offer "gift" { stages = { "visitor" }, when = f.is_known, utility = 20, why = "W." } action.explore { rate = "2%", among = { "call", "gift", "mail" }, why = "W." } action.offer "call" {' },
    { "policy.lua:36: warning: action.explore: 'gift' is never open together with another of them" },
  },
  {
    "an exploration that explores nothing",
    { ['action.offer "call" {'] = 'action.explore { rate = "0%", among = "call" } action.offer "call" {' },
    {
      "policy.lua:36: action.explore 't' has no why: a rule says what it is for",
      "policy.lua:36: action.explore: among one offer there is nothing to choose",
      "policy.lua:36: action.explore: rate is \"2%\" (above 0, at most 100 %), not '0%'",
    },
  },
  {
    "an exploration that is one",
    { ['action.offer "call" {'] = 'action.offer "mail" { stages = { "mql" }, when = f.is_known, utility = 20, why = "W." } action.explore { rate = "2%", among = { "call", "mail" }, why = "W." } action.offer "call" {' },
    {},
  },
  {
    "quiet hours that are the whole day",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "08:00-8:00", zone = "Europe/Berlin", why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': quiet from 08:00 to 08:00 is the whole day: no offer ever goes out by it" },
  },
  {
    "quiet hours that are none",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "at night", zone = "Europe/Berlin", why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': quiet is \"20:00-08:00\", two times of the day, not 'at night'" },
  },
  {
    "quiet hours by nobody's clock",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", why = "W." } action.offer "call" { channel = "phone",' },
    { 'policy.lua:36: action.channel \'phone\': quiet by whose clock? zone = "Europe/Berlin", or a feature of text and default_zone' },
  },
  {
    "quiet hours in a zone that is none",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", zone = "Europe/Berlim", why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': no zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?" },
  },
  {
    "quiet hours by a feature that may be unknown",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", zone = f.region, why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': zone is a feature: default_zone says which clock counts for a lead that has none" },
  },
  {
    "quiet hours by a number",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", zone = f.usage_7d, why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: action.channel 'phone': zone is a table; it takes a zone such as \"Europe/Berlin\", or a feature of text, such as f.timezone",
      'policy.lua:36: action.channel \'phone\': quiet by whose clock? zone = "Europe/Berlin", or a feature of text and default_zone' },
  },
  {
    "a zone and no quiet hours",
    { ['action.offer "call" {'] = 'action.channel "phone" { zone = "Europe/Berlin", at_most = "1 in 9d", why = "W." } action.offer "call" { channel = "phone",' },
    { 'policy.lua:36: action.channel \'phone\': a zone without quiet = "20:00-08:00"' },
  },
  {
    "quiet hours by a list that is not there",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", zone = f.region, default_zone = "UTC", zones = "peeple", why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: no data file 'peeple' (data/peeple.csv); did you mean 'people'?" },
  },
  {
    "quiet hours by a calendar that is not there",
    { ['action.offer "call" {'] = 'action.channel "phone" { calendar = "offices", why = "W." } action.offer "call" { channel = "phone",' },
    { "policy.lua:36: no data file 'offices' (data/offices.csv)" },
  },
  {
    "quiet hours as they should be",
    { ['action.offer "call" {'] = 'action.channel "phone" { quiet = "20:00-08:00", zone = f.region, default_zone = "Europe/Berlin", why = "W." } action.offer "call" { channel = "phone",' },
    {  },
  },
  {
    "limits that say nothing",
    { ['"1 in 3d"'] = '"once a day"' },
    { "policy.lua:35: action.limits: per_lead is \"1 in 3d\" (1 to 16 actions in a duration), not 'once a day'" },
  },
  {
    "a hold-out without salt",
    { ['"5% salt 2026q4"'] = '"5%"' },
    {
      "policy.lua:35: action.limits: hold_out is \"5% salt 2026q4\" (a share above 0 and below 100 %, and a salt), not '5%'",
    },
  },
  {
    "a team file without weights",
    {},
    { "data/people.csv:1: no column 'weight'; did you mean 'wieght'?" },
    { ["policies/t/data/people.csv"] = "name,team,wieght\nann,emea,1\ncleo,rest,1\n" },
  },
  {
    "a weight that is no number",
    {},
    { "data/people.csv:3: weight is 'x'; it takes a number from 0 to 1000" },
    { ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\nbob,emea,x\ncleo,rest,1\n" },
  },
  {
    "a team in which nobody works",
    {},
    { "policy.lua:34: route.otherwise 'rest': nobody in team 'rest' has a weight above 0" },
    { ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\ncleo,rest,0\n" },
  },
  {
    "a row that is too short",
    {},
    { "data/people.csv:3: 2 fields where the header has 3" },
    { ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\ncleo,rest\n" },
  },
  {
    "a misspelt column of people",
    {},
    { "data/people.csv:1: no column is called 'capcity'; did you mean 'capacity'?" },
    { ["policies/t/data/people.csv"] = "name,team,weight,capcity\nann,emea,1,3\ncleo,rest,1,\n" },
  },
  {
    "a capacity that is none",
    {},
    {
      "data/people.csv:2: capacity is '2.5'; it takes a whole number of 0 or more, or nothing where there is no bound",
      "policy.lua:33: route.to 'emea': no team 'emea' in data/people.csv",
    },
    { ["policies/t/data/people.csv"] = "name,team,weight,capacity\nann,emea,1,2.5\ncleo,rest,1,\n" },
  },
  {
    "somebody twice in a team, and somebody with a reserved name",
    {},
    {
      "data/people.csv:3: 'ann' is in team 'emea' twice; first in line 2",
      "data/people.csv:5: nobody can be called 'pending': that is what decisions say when there is no owner",
    },
    { ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\nann,emea,2\ncleo,rest,1\npending,rest,1\n" },
  },
  {
    "leaves of nobody, of no day, and that end before they begin",
    { ['team = "people"'] = 'team = "people", leave = "leave"' },
    {
      "data/leave.csv:2: nobody is called 'an'; did you mean 'ann'?",
      "data/leave.csv:3: '2026-02-30' is no day, such as 2026-12-24",
      "data/leave.csv:4: the leave ends (2026-01-01) before it begins (2026-01-02)",
    },
    {
      ["policies/t/data/people.csv"] = "name,team,weight\nann,emea,1\ncleo,rest,1\n",
      ["policies/t/data/leave.csv"] = "name,from,to\nan,2026-01-01,2026-01-02\nann,2026-02-30,2026-03-01\n"
        .. "cleo,2026-01-02,2026-01-01\n",
    },
  },
  {
    "what only a pool can do",
    { ['pick = "weighted", why = "W." }\naction'] = 'sticky = true, skill = "german", why = "W." }\naction' },
    {
      "policy.lua:34: route.otherwise 'rest': skill needs somebody who knows what each has: "
        .. 'pick = "round_robin" or "least_busy"',
      "policy.lua:34: route.otherwise 'rest': sticky needs somebody who knows what each has: "
        .. 'pick = "round_robin" or "least_busy"',
      "policy.lua:34: route.otherwise 'rest': nobody in team 'rest' has the skill 'german'",
    },
  },
  {
    "a skill that nobody has",
    { ['pick = "weighted", why = "W." }\naction'] = 'pick = "round_robin", skill = "germen", why = "W." }\naction' },
    { "policy.lua:34: route.otherwise 'rest': nobody in team 'rest' has the skill 'germen'; did you mean 'german'?" },
    { ["policies/t/data/people.csv"] = "name,team,weight,skills\nann,emea,1,\ncleo,rest,1,german french\n" },
  },
  {
    "terms of acceptance that say nothing",
    {
      ['pick = "weighted", why = "W." }\naction'] = 'pick = "weighted", why = "W." }\n'
        .. 'route.accept_within "4 hours" { otherwise = "emae", tries = 0.5, why = "W." }\naction',
    },
    {
      "policy.lua:35: route.accept_within '4 hours': it takes a duration such as \"4h\" (units w d h m s ms)",
      "policy.lua:35: route.accept_within '4 hours': tries is a whole number from 0 to 100",
      "policy.lua:35: route.accept_within '4 hours': none of these routes deals by turns: "
        .. 'pick = "round_robin" or "least_busy"',
      "policy.lua:35: route.accept_within '4 hours': otherwise names no route below on_enter 'mql': 'emae'"
        .. "; did you mean 'emea'?",
    },
  },
  {
    "a term of acceptance in a team of one",
    {
      ['pick = "weighted", why = "W." }\naction'] = 'pick = "round_robin", why = "W." }\n'
        .. 'route.accept_within "4h" { why = "W." }\naction',
    },
    {
      "policy.lua:35: warning: route.accept_within '4h': team 'rest' is one person: who gets the lead when they don't "
        .. "take it? (otherwise)",
    },
  },
  {
    "an owner who is freed where there is no stage, and where one is chosen",
    {
      ['pick = "weighted", why = "W." }\naction'] = 'pick = "weighted", why = "W." }\n'
        .. 'route.release "mpl" { why = "W." }\nroute.release "mql" { why = "W." }\naction',
    },
    {
      "policy.lua:35: route.release 'mpl': no stage 'mpl'; did you mean 'mql'?",
      "policy.lua:36: route.release 'mql': the stage has routes: they choose the owner anew",
    },
  },
  {
    "a table of territories that names a text twice, and a team that is none",
    {
      ['route.otherwise "rest"'] = 'route.by_table "lands" { of = f.region, why = "W." }\nroute.otherwise "rest"',
    },
    {
      "data/lands.csv:4: 'de' is there twice; first in line 2",
      "policy.lua:34: route.by_table 'lands ret': no team 'ret' in data/people.csv; did you mean 'rest'?",
    },
    { ["policies/t/data/lands.csv"] = "is,team\nde,ret\nfr,rest\nde,rest\n" },
  },
  { "an empty list", {}, { "data/free.csv:1: the list is empty" }, { ["policies/t/data/free.csv"] = "domain\n\n" } },
}

describe("check", function()
  it("finds nothing in the sample", function()
    local artifact = sample.build()
    assert.are.same({}, sample.lines(artifact))
    assert.is_string(artifact.source)
  end)

  for _, case in ipairs(CASES) do
    it("finds: " .. case[1], function()
      local artifact = sample.build(case[2], case[4])
      local expected = case[3]
      table.sort(expected)
      local got = sample.lines(artifact)
      table.sort(got)
      assert.are.same(expected, got)
      local has_error = false
      for _, problem in ipairs(artifact.problems) do
        has_error = has_error or problem.error
      end
      assert.are.equal(has_error, artifact.source == nil)
    end)
  end

  describe("of a signal set", function()
    local HEAD, FEATURES = "policies/signals/own/signals.lua", "policies/signals/own/features/web.lua"
    local POLICY = [[
local policy, signal = require "policy", require "signal"
local journey, action, score = require "journey", require "action", require "score"
local f = signal.features "own@1"
policy "t" { owner = "a@example.com", rationale = "A test.", boundary = "Nothing." }
score.combined { 40 }
journey.start "new"
journey.stage "new" { journey.go "done" { when = f.visits, why = "W." } }
journey.final "done"
action.otherwise "wait" { utility = 1, why = "W." }
]]
    local GOOD_HEAD = 'return { name = "own", version = 1, events = { "Visited" }, personal = { "traits.email" } }'
    local GOOD_FEATURES = 'return { { name = "visits", op = "count", on = "Visited" } }'

    local function found(head, features)
      local files = { [HEAD] = head, [FEATURES] = features }
      return sample.lines(sample.build_text(POLICY, files))
    end
    local function of_head(from, to) return found(sample.replace(GOOD_HEAD, from, to), GOOD_FEATURES) end
    local function of_features(from, to) return found(GOOD_HEAD, sample.replace(GOOD_FEATURES, from, to)) end

    it("finds nothing in a good one", function() assert.are.same({}, found(GOOD_HEAD, GOOD_FEATURES)) end)

    it("does not let a misspelt head pass, which would store in the open what is personal", function()
      local wrong = {
        { "personal", "persnal", "signal set 'own': no key 'persnal'; did you mean 'personal'?" },
        { 'name = "own", ', "", "signal set 'own' has no name" },
        { "version = 1, ", "", "signal set 'own' has no version" },
        { "version = 1", "version = 1.5", "signal set 'own': version is a whole number" },
        { '"own"', '"other"', "the signal set in folder 'own' must have that name, not 'other'" },
        { '{ "Visited" }', '"Visited"', "signal set 'own': events is 'Visited'; it takes a table { … }" },
        { '"traits.email"', "5", "signal set 'own': personal is a list of texts" },
      }
      for _, case in ipairs(wrong) do
        local lines = of_head(case[1], case[2])
        assert.are.equal(HEAD .. ":0: " .. case[3], lines[1])
      end
    end)

    it("holds labels to what they take", function()
      local function labels(text) return of_head("personal", "labels = { " .. text .. " }, personal") end
      assert.are.same({}, labels '{ name = "back_7d", event = "Visited", within = "7d" }')
      assert.are.same({}, labels '{ name = "back_7d", event = "Visited", within = "7d", read_by = "visits" }')
      local wrong = {
        ['{ name = "a", event = "Visitd", within = "7d" }'] = "label 'a': no event 'Visitd' in events; did you mean 'Visited'?",
        ['{ name = "a", event = "Visited", within = 7 }'] = "label 'a': within is a number; it takes a duration such as "
          .. '"7d" (units w d h m s ms)',
        ['{ name = "a", event = "Visited" }'] = "label 'a' has no within",
        ['{ name = "a", event = "Visited", within = "7d", unless = "Left" }'] = "label 'a': no event 'Left' in events",
        ['{ name = "a", event = "Visited", within = "7d", unless = { "Visited" } }'] = "label 'a': 'Visited' can't be its event "
          .. "and what rules it out",
        ['{ name = "a", event = "Visited", within = "7d", unless = {} }'] = "label 'a': unless is a table; it takes at least one text",
        ['{ event = "Visited", within = "7d" }'] = "label '#1' has no name",
      }
      for text, problem in pairs(wrong) do
        assert.are.same({ HEAD .. ":0: " .. problem }, labels(text))
      end
    end)

    it("warns of a personal path that is a key of the event itself", function()
      assert.are.same({
        HEAD
          .. ":0: warning: personal: 'email' is a key of the event itself; write 'traits.email' or 'properties.email' "
          .. "when one of these is meant",
      }, of_head("traits.email", "email"))
      assert.are.same({}, of_head("traits.email", "groupId"))
    end)

    it("warns of an event that is nearly one of the list", function()
      local warning = FEATURES
        .. ":0: warning: feature 'visits' waits for 'Visitd', which is not among the events of signals.lua; "
        .. "did you mean 'Visited'?"
      assert.are.same({ warning }, of_features('"Visited"', '"Visitd"'))
      assert.are.same({ warning }, of_features('"Visited"', '{ { event = "Visitd" } }'))
      assert.are.same({ warning }, of_features('"Visited"', '{ event = "Visitd" }'))
      local steps = 'name = "visits", op = "funnel", within = "1d", steps = { "Visited", %s }'
      for _, step in ipairs { '"Visitd"', '{ "Visitd" }', '{ event = "Visitd" }', '{ on = "Visitd" }' } do
        assert.are.same({ warning }, of_features('name = "visits", op = "count", on = "Visited"', steps:format(step)))
      end
      assert.are.same({}, of_features('"Visited"', '{ { type = "page", event = "Visitd" } }'))
      assert.are.same({}, of_features('"Visited"', '"Something Else"'))
    end)

    it("knows how far ordered and derived features reach", function()
      local features = [[return {
        { name = "depth", op = "funnel", within = "1d", steps = { "Visited", { on = "Visited" }, "Visited" } },
        { name = "done", op = "sequence", within = "1d", steps = { "Visited", "Visited" } },
        { name = "pairs", op = "co_occurrence", within = "1d", steps = { "Visited", "Visited" } },
        { name = "flag", op = "flag", on = "Visited" },
        { name = "part", op = "ratio", of = { "done", "pairs" } },
        { name = "less", op = "difference", of = { "flag", "depth" } },
        { name = "odd", op = "ratio", of = { "less", "flag" } },
        { name = "idle", op = "recency" }, { name = "gap", op = "gap" },
        { name = "change", op = "difference", of = { "idle", "gap" } },
      }]]
      local function of(condition)
        local files = { [HEAD] = GOOD_HEAD, [FEATURES] = features }
        return sample.lines(sample.build_text(sample.replace(POLICY, "f.visits", condition), files))
      end
      local function finds(condition, text)
        assert.are.same({ "policy.lua:7: " .. text }, of(condition))
      end
      finds("f.depth:at_least(4)", "'depth at least 4' can never hold: needs 4, 'depth' reaches at most 3")
      finds("f.done:under(0)", "'done under 0' can never hold: 'done' is at least 0")
      finds("f.pairs:under(0)", "'pairs under 0' can never hold: 'pairs' is at least 0")
      finds("f.part:under(0)", "'part under 0' can never hold: 'part' is at least 0")
      finds("f.less:at_least(2)", "'less at least 2' can never hold: needs 2, 'less' reaches at most 1")
      finds("f.less:under(-3)", "'less under -3' can never hold: 'less' is at least -3")
      for _, fine in ipairs { "f.depth:at_least(3)", "f.odd:under(-9)", "f.part:at_least(9)", 'f.change:above "0s"' } do
        assert.are.same({}, of(fine))
      end
    end)

    it("knows which features are texts, durations, days and hours", function()
      local features = [[return {
        { name = "top", op = "most_common", of = "channel" },
        { name = "plan", op = "most_common", of = "properties.plan", part = "lower" },
        { name = "seats", op = "most_common", of = "properties.seats" },
        { name = "length", op = "session_length", stat = "max" },
        { name = "weekday", op = "weekday" }, { name = "hour", op = "time_of_day" },
        { name = "days", op = "active_days", window = "30d" },
        { name = "spread", op = "stddev", of = "properties.seats" },
      }]]
      local function of(condition)
        local files = { [HEAD] = GOOD_HEAD, [FEATURES] = features }
        return sample.lines(sample.build_text(sample.replace(POLICY, "f.visits", condition), files))
      end
      local fine = {
        'f.top:is "web"',
        'f.plan:is "pro"',
        "f.seats:at_least(-3)",
        'f.length:at_least "10m"',
        "f.weekday:at_most(5)",
        "f.hour:under(7.5)",
        "f.days:at_least(12)",
        "f.spread:above(0)",
      }
      for _, condition in ipairs(fine) do
        assert.are.same({}, of(condition))
      end
      local never = {
        { "f.weekday:at_least(8)", "'weekday at least 8' can never hold: needs 8, 'weekday' reaches at most 7" },
        { "f.hour:at_least(25)", "'hour at least 25' can never hold: needs 25, 'hour' reaches at most 24" },
        { "f.days:under(0)", "'days under 0' can never hold: 'days' is at least 0" },
        { "f.spread:under(0)", "'spread under 0' can never hold: 'spread' is at least 0" },
      }
      for _, case in ipairs(never) do
        assert.are.same({ "policy.lua:7: " .. case[2] }, of(case[1]))
      end
      assert.are_not.same({}, of 'f.seats:is "many"')
      assert.are_not.same({}, of "f.length:at_least(600)")
    end)

    it("gives ordered ops the head's lateness when they name none", function()
      local function declared(head, feature)
        local files = { [HEAD] = sample.replace(GOOD_HEAD, "version = 1", head), [FEATURES] = feature }
        local artifact = sample.build_text(POLICY, files)
        assert.are.same({}, sample.lines(artifact))
        return artifact.declarations[1].lateness
      end
      local funnel = 'return { { name = "visits", op = "funnel", within = "1d", steps = { "Visited", "Visited" }%s } }'
      assert.are.equal("2d", declared('version = 1, lateness = "2d"', funnel:format ""))
      assert.are.equal("1h", declared('version = 1, lateness = "2d"', funnel:format ', lateness = "1h"'))
      assert.is_nil(declared("version = 1", funnel:format ""))
      assert.is_nil(declared('version = 1, lateness = "2d"', GOOD_FEATURES))
      local wrong = "signal set 'own': lateness is 'soon'; it takes a duration such as \"7d\" (units w d h m s ms)"
      assert.are.same({ HEAD .. ":0: " .. wrong }, of_head("version = 1", 'version = 1, lateness = "soon"'))
    end)

    it("says which of its files is missing, or gives no list", function()
      assert.are.same({
        "policies/signals/own/features:0: no feature is declared: its *.lua files return the lists of the set's features",
      }, found(GOOD_HEAD, nil))
      local wanted = FEATURES .. ":0: it must return a list of features: return { { … }, { … } }"
      for _, text in ipairs { "return 5", 'return { name = "visits", op = "count" }', "local x" } do
        assert.are.same({ wanted }, found(GOOD_HEAD, text))
      end
    end)

    local function of_files(files)
      files[HEAD] = GOOD_HEAD
      local artifact = sample.build_text(POLICY, files)
      return sample.lines(artifact), artifact
    end

    it("has its features in files, in byte order of their names and the order of each", function()
      local lines, artifact = of_files {
        ["policies/signals/own/features/b.lua"] = GOOD_FEATURES,
        ["policies/signals/own/features/a_2.lua"] = 'return { { name = "z", op = "count" }, { name = "a", op = "count" } }',
        ["policies/signals/own/features/B.lua"] = 'return { { name = "q", op = "count" } }',
        ["policies/signals/own/features/a_spec.lua"] = "error 'a spec is no part of it'",
      }
      assert.are.same({}, lines)
      local names = {}
      for i, declaration in ipairs(artifact.declarations) do
        names[i] = declaration.name .. " " .. artifact.feature_files[i]:match "[^/]*$"
      end
      assert.are.same({ "q B.lua", "z a_2.lua", "a a_2.lua", "visits b.lua" }, names)
    end)

    it("names the files of a feature that is declared twice", function()
      assert.are.same(
        {
          "policies/signals/own/features/b.lua:0: feature 'visits' is declared twice; "
            .. "first in policies/signals/own/features/a.lua",
        },
        (of_files {
          ["policies/signals/own/features/b.lua"] = GOOD_FEATURES,
          ["policies/signals/own/features/a.lua"] = GOOD_FEATURES,
        })
      )
    end)

    it("is not left with a file that nothing reads", function()
      local OLD = "policies/signals/own/features.lua"
      assert.are.same(
        { OLD .. ":0: features lie in files of a folder: move it to features/NAME.lua" },
        (of_files { [FEATURES] = GOOD_FEATURES, [OLD] = GOOD_FEATURES })
      )
    end)
  end)

  it("says how to compare where Lua's own comparison met a feature", function()
    local lines = sample.lines(sample.build { ["when = f.demo_requested_30d"] = "when = f.usage_7d >= 3" })
    assert.are.equal(1, #lines)
    assert.is_truthy(lines[1]:find("^policy.lua:19: attempt to compare number with table; .*:at_least"))
  end)

  it("reports all problems of one run, in order", function()
    local artifact = sample.build {
      ["f.is_known }"] = "f.is_knwon }",
      ['go "won"'] = 'go "wonn"',
      ['in_list "free"'] = 'in_list "fre"',
      ["points = 8, "] = "",
      ['"1 in 3d"'] = '"x"',
    }
    local lines = {}
    for i, problem in ipairs(artifact.problems) do
      lines[i] = problem.line
    end
    assert.are.same({ 10, 19, 23, 26, 35 }, lines)
  end)

  it("reports what was found before the text raised an error, and the error", function()
    local artifact = sample.build { ["f.is_known }"] = "f.is_knwon }", ['journey.final "lost"'] = 'error("by hand")' }
    assert.are.same(
      { "policy.lua:23: no feature 'is_knwon' in b2b@4; did you mean 'is_known'?", "policy.lua:31: by hand" },
      sample.lines(artifact)
    )
  end)

  it("names a syntax error's line", function()
    local lines = sample.lines(sample.build { ["score.bands {"] = "score.bands {{" })
    assert.are.equal(1, #lines)
    assert.is_truthy(lines[1]:find("^policy.lua:%d+: '}' expected"))
  end)

  it("knows a custom function that keeps state", function()
    local lines = sample.lines(sample.build {
      ["when = f.demo_requested_30d"] = 'when = signal.custom("odd", { reads = { f.usage_7d }, why = "W." }, function(view) N = view.usage_7d return N end)',
    })
    assert.are.equal(1, #lines)
    assert.is_truthy(lines[1]:find("^policy.lua:19: custom 'odd' keeps state between calls: "))
  end)

  it(
    "asks a custom function for its reads and its why",
    function()
      assert.are.same(
        {
          "policy.lua:19: custom 'odd' has no why: a rule says what it is for",
          "policy.lua:19: custom 'odd' must list in reads what it looks at",
        },
        sample.lines(
          sample.build { ["when = f.demo_requested_30d"] = 'when = signal.custom("odd", {}, function() return 1 end)' }
        )
      )
    end
  )
end)

describe("signal.fresh", function()
  local function with(condition)
    return sample.build { ["when = f.demo_requested_30d"] = "when = " .. condition }
  end

  it("is a condition on the age of a feature", function()
    local artifact = with 'signal.fresh(f.usage_7d, "1d")'
    assert.are.same({}, sample.lines(artifact))
    assert.are.same({ "usage_7d" }, artifact.ages)
    local found
    for _, condition in ipairs(artifact.conditions) do
      found = found or condition.name == "usage_7d is no older than 1d"
    end
    assert.is_true(found)
    assert.are.same({ "usage_7d" }, with('signal.fresh("usage_7d", "1d")').ages)
  end)

  it("has the engine keep what it needs, and nothing where nobody asks", function()
    local function max_age(artifact, name)
      for _, declaration in ipairs(artifact.declarations) do
        if declaration.name == name then return declaration.max_age end
      end
    end
    local both = with 'any { signal.fresh(f.usage_7d, "1d 12h"), signal.fresh(f.usage_7d, "2d") }'
    assert.are.equal("129600s", max_age(both, "usage_7d"))
    assert.is_nil(max_age(both, "page_views_7d"))
    assert.are.same({ "usage_7d" }, both.ages)
  end)

  it("says what it takes", function()
    local LINE = "policy.lua:19: "
    local wrong = {
      ["signal.fresh(f.usage_7d)"] = "signal.fresh: 'usage_7d' has no max_age: "
        .. 'say how old it may be: signal.fresh(f.usage_7d, "1d")',
      ['signal.fresh(f.usage_7d, "soon")'] = 'signal.fresh takes a duration of at least a second, such as "1d" '
        .. "(units w d h m s)",
      ['signal.fresh(f.usage_7d, "5ms")'] = 'signal.fresh takes a duration of at least a second, such as "1d" '
        .. "(units w d h m s)",
      ['signal.fresh("usage_7", "1d")'] = "signal.fresh: no feature 'usage_7' in b2b; did you mean 'usage_7d'?",
      ['signal.fresh(f.usage_7, "1d")'] = "no feature 'usage_7' in b2b@4; did you mean 'usage_7d'?",
      ['signal.fresh(5, "1d")'] = 'signal.fresh takes a feature and a duration: signal.fresh(f.usage_7d, "1d")',
    }
    for condition, text in pairs(wrong) do
      assert.are.same({ LINE .. text }, sample.lines(with(condition)))
    end
  end)
end)

describe("what sales says", function()
  local function texts(artifact)
    local list = {}
    for i, problem in ipairs(artifact.problems) do
      list[i] = problem.text
    end
    return list
  end
  local function head(text) return { ['team = "people",'] = 'team = "people", sales = ' .. text .. "," } end
  local function go(event)
    return { ['go "won" { on = "crm.opportunity_won", why = "W." },'] = ('go "won" { on = %s, why = "W." },'):format(event) }
  end

  it("may go by other names, which the set must have", function()
    assert.are.same({}, sample.lines(sample.build(head '{ disqualified = "Unsubscribed", not_again_for = "14d" }')))
    local artifact = sample.build(head '{ disqualified = { "Unsubscribed", "crm.lead_disqualified" } }')
    assert.are.same({ disqualified = { "Unsubscribed" } }, artifact.sales)
    assert.are.same(
      { "sales: rejected: no event 'Unsubscribe' in the signal set 'b2b'; did you mean 'Unsubscribed'?" },
      texts(sample.build(head '{ rejected = "Unsubscribe" }'))
    )
  end)

  it("is spelled in one way", function()
    assert.are.same(
      { "sales of policy 't': no key 'disqualify'; did you mean 'disqualified'?" },
      texts(sample.build(head '{ disqualify = "Unsubscribed" }'))
    )
    assert.are.same(
      { "sales: 'Unsubscribed' can't mean rejected and accepted" },
      texts(sample.build(head '{ rejected = "Unsubscribed", accepted = "Unsubscribed" }'))
    )
    assert.are.same(
      { "sales: 'crm.owner_set' can't mean owner_set and accepted" },
      texts(sample.build(head '{ accepted = "crm.owner_set" }'))
    )
  end)

  it("can be waited for, but for what lays the journey at rest", function()
    assert.are.same({}, sample.lines(sample.build(go '"crm.lead_accepted"')))
    assert.are.same({}, sample.lines(sample.build(go '{ "crm.lead_disqualified", "crm.opportunity_won" }')))
    assert.are.same(
      { "mql -> won never fires: 'crm.lead_disqualified' disqualifies the lead, and the journey of a disqualified lead rests" },
      texts(sample.build(go '"crm.lead_disqualified"'))
    )
  end)
end)
