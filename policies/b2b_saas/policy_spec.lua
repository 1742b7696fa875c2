-- What b2b_saas should make of a few lives. Run by `intent test policies/b2b_saas`. Times are the events' own.
local function person(traits)
  return { at = "2026-01-05T09:00:00Z", type = "identify", userId = "maria@acme.example", traits = traits }
end
local acme = { email = "maria@acme.example", employees = 420, industry = "Software", region = "amer", tier = "mid",
  seniority = "manager" }

return {
  { name = "a single page view makes nobody a lead",
    events = { { at = "2026-01-05T09:00:00Z", type = "page", anonymousId = "a1", name = "Home", channel = "web" } },
    expect = { stage = "visitor", owner = "none", action = "wait", eligible = true, max_combined = 15 } },

  { name = "a name is enough to be engaged, but not to be called",
    events = { person(acme) },
    expect = { stage = "engaged", transitions = { "visitor -> engaged" }, owner = "none", action = "wait",
      min_fit = 50 } },

  { name = "a great profile without interest stays where it is, and then goes to nurture by itself",
    events = {
      person { email = "tom@globex.example", employees = 900, industry = "software", region = "emea",
        tier = "strategic", seniority = "executive" },
      { after = "20d" },
      { after = "2d" },
    },
    expect_each = {
      { stage = "engaged", min_fit = 75 },
      { stage = "engaged" },
      { stage = "nurture", transitions = { "engaged -> nurture" } },
    },
    expect = { action = "wait", max_engagement = 15 } },

  { name = "price list on the web alone is one channel, and one channel makes no lead",
    events = {
      person(acme),
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 5, every = "10m" },
      { after = "1h", event = "Docs Viewed", channel = "web", times = 6, every = "5m" },
      { after = "1h", event = "Case Study Downloaded", channel = "web", times = 3, every = "5m" },
    },
    expect = { stage = "engaged", transitions = {}, min_intent = 30, max_intent = 30 } },

  { name = "web and product together make a marketing lead, who is shown a demo",
    events = {
      person(acme),
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 4, every = "1h" },
      { after = "2d", event = "Trial Started", channel = "product" },
      { after = "1h", event = "Teammate Invited", channel = "product" },
      { after = "26h", event = "Teammate Invited", channel = "product" },
    },
    expect_each = { { action = "wait" }, { held = "per_lead" }, { stage = "engaged", held = "per_lead" },
      { stage = "engaged" } },
    expect = { stage = "mql", transitions = { "engaged -> mql" }, action = "demo_invite", owner = "none",
      min_intent = 45 } },

  { name = "a colleague who asked for a demo an hour ago is a sign, too",
    events = {
      person(acme),
      { after = "1h", type = "page", name = "Home", channel = "web" },
      { after = "1h", type = "page", name = "Home", channel = "web", account = { account_demo_ago = "1h" } },
    },
    expect_each = { {}, { max_intent = 0 } },
    expect = { stage = "engaged", min_intent = 13.5, max_intent = 13.5 } },

  { name = "twice as many looks at prices as the week before, within a day of a colleague's demo request, count",
    events = {
      person(acme),
      { at = "2026-01-06T09:00:00Z", event = "Pricing Viewed", channel = "web" },
      { at = "2026-01-13T09:00:00Z", event = "Pricing Viewed", channel = "web",
        account = { account_demo_ago = "20h" } },
      { after = "5m", event = "Pricing Viewed", channel = "web", account = { account_demo_ago = "20h" } },
      { after = "5m", event = "Pricing Viewed", channel = "web", account = { account_demo_ago = "25h" } },
    },
    expect_each = { {}, { max_combined = 32 }, { max_combined = 32 }, { min_combined = 41.8, max_combined = 42 } },
    expect = { min_combined = 36, max_combined = 36.2 } }, -- one look more, but the day is over

  { name = "a demo, and then the price list, is a sign on the web",
    events = {
      person(acme),
      { after = "1h", event = "Demo Attended", channel = "web" },
      { after = "2d", event = "Pricing Viewed", channel = "web" },
    },
    expect_each = { {}, { max_intent = 0 } },
    expect = { min_intent = 8, max_intent = 8 } },

  { name = "a demo, and the price list four days after it, is none",
    events = {
      person(acme),
      { after = "1h", event = "Demo Attended", channel = "web" },
      { after = "4d", event = "Pricing Viewed", channel = "web" },
    },
    expect = { max_intent = 0 } },

  { name = "a trial that others join is a serious one",
    events = {
      person(acme),
      { after = "1h", event = "Trial Started", channel = "product" },
      { after = "1d", event = "Project Created", channel = "product" },
      { after = "1d", event = "Teammate Invited", channel = "product" },
    },
    expect_each = { {}, {}, { max_combined = 46 } },
    expect = { min_combined = 56.4, max_combined = 56.6 } },

  { name = "interest that fades takes a lead back",
    events = {
      person(acme),
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 4, every = "1h" },
      { after = "1d", event = "Teammate Invited", channel = "product", times = 3, every = "10m" },
      { after = "70d", type = "page", name = "Home", channel = "web" },
    },
    expect = { stage = "engaged", transitions = { "mql -> engaged" }, max_intent = 29.9 } },

  { name = "who asks for a demo goes to sales at once, to the region's people",
    events = {
      person(acme),
      { after = "5m", event = "Demo Requested", channel = "web" },
    },
    expect = { stage = "sql", transitions = { "engaged -> sql" }, owner_in = { "chen", "dee" }, min_combined = 35 } },

  { name = "an unknown visitor who asks for a demo has to say who it is first",
    events = {
      { at = "2026-01-05T09:00:00Z", event = "Demo Requested", anonymousId = "a2", channel = "web" },
      { after = "1m", type = "identify", userId = "kim@initech.example",
        traits = { email = "kim@initech.example", region = "EMEA" } },
    },
    expect_each = { { stage = "visitor" }, { stage = "sql", owner_in = { "femi", "greta" } } },
    expect = { transitions = { "visitor -> engaged", "engaged -> sql" } } },

  { name = "nobody without a region stays without an owner",
    events = {
      person { email = "lee@umbrella.example" },
      { after = "5m", event = "Demo Requested", channel = "web" },
    },
    expect = { stage = "sql", owner_in = { "ravi", "sofia" } } },

  { name = "large accounts have people of their own, wherever they are",
    events = {
      person { email = "eve@hooli.example", region = "emea", tier = "strategic" },
      { after = "5m", event = "Demo Requested", channel = "web" },
    },
    expect = { stage = "sql", owner_in = { "ines", "omar" } } },

  { name = "a free mail address is left out, and the decision says why",
    events = {
      person { email = "somebody@gmail.com", employees = 420 },
      { after = "5m", event = "Demo Requested", channel = "web" },
    },
    expect = { stage = "visitor", eligible = false, ineligible = "email_domain in free_mail", held = "not_eligible",
      action = "wait", owner = "none", min_engagement = 25 } },

  { name = "a competitor reads, never buys",
    events = {
      person { email = "spy@rival.example", employees = 420, industry = "software", seniority = "executive",
        tier = "mid" },
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 3, every = "10m" },
    },
    expect = { eligible = true, max_combined = 10, band = "cold" } },

  { name = "sales takes over, wins, and the journey ends",
    events = {
      person(acme),
      { after = "5m", event = "Demo Requested", channel = "web" },
      { after = "1d", event = "crm.call_logged", channel = "crm" },
      { after = "2d", event = "crm.opportunity_created", channel = "crm" },
      { after = "30d", event = "crm.opportunity_won", channel = "crm" },
    },
    expect_each = {
      { stage = "engaged" }, { stage = "sql" }, { stage = "sql" }, { stage = "opportunity" },
      { stage = "customer", transitions = { "opportunity -> customer" } },
    },
    expect = { owner_in = { "chen", "dee" }, action = "wait" } },

  { name = "sales has the last word",
    events = {
      person(acme),
      { after = "5m", event = "Demo Requested", channel = "web" },
      { after = "1d", event = "crm.lead_rejected", channel = "crm" },
      { after = "1d", type = "page", name = "Home", channel = "web" },
    },
    expect_each = { {}, { stage = "sql" }, { stage = "nurture" }, { stage = "nurture" } } },

  { name = "an owner whom sales sets is kept, whatever the routes say, until sales lets go",
    events = {
      person(acme),
      { after = "1h", event = "crm.owner_set", channel = "crm", properties = { owner = "sofia", why = "Knows them." } },
      { after = "1h", event = "Demo Requested", channel = "web" },
      { after = "1d", event = "crm.owner_cleared", channel = "crm" },
    },
    expect_each = { { owner = "none", sales = {} }, { owner = "sofia", sales = { "owner_set" } },
      { stage = "sql", owner = "sofia", sales = { "owner_set" } }, { owner_in = { "chen", "dee" } } } },

  { name = "whom sales gave up gets no call until sales says otherwise",
    events = {
      person(acme),
      { after = "1h", event = "crm.lead_disqualified", channel = "crm", properties = { reason = "A student." } },
      { after = "1h", event = "Demo Requested", channel = "web" },
      { after = "1d", event = "crm.lead_requalified", channel = "crm" },
    },
    expect_each = { {}, { eligible = false, ineligible = "disqualified", held = "not_eligible" },
      { stage = "engaged", owner = "none", action = "wait", sales = { "disqualified" }, min_combined = 35 },
      { stage = "sql", eligible = true, owner_in = { "chen", "dee" }, action = "call" } } },

  { name = "one action in three days",
    events = {
      person(acme),
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 3, every = "1m" },
      { after = "1m", type = "page", name = "Home", channel = "web" },
      { after = "73h", type = "page", name = "Home", channel = "web" },
    },
    expect_each = { {}, { action = "case_study", held = "none" }, { action = "wait", held = "per_lead",
      suppressed = { case_study = "per_lead" } }, { action = "case_study", suppressed = "none" } } },

  { name = "the hold-out is left alone, but moves like everybody",
    hold_out = true,
    events = {
      person(acme),
      { after = "1h", event = "Pricing Viewed", channel = "web", times = 3, every = "10m" },
    },
    expect = { stage = "engaged", action = "wait", held = "hold_out", min_intent = 20 } },
}
