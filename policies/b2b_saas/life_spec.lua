-- The same policy as lives, told in the order in which they happen.
local function maria()
  return lead({ channel = "web" }):identify {
    email = "maria@acme.example", employees = 420, industry = "Software", region = "amer", tier = "mid", seniority = "manager",
  }
end

describe("web and product together", function()
  it("make a marketing lead, who is shown a demo", function()
    maria()
      :expect_stage("engaged")
      :wait("1h"):views("pricing", 4, "1h")
      :expect_fired("pricing_again")
      :expect_not_fired("team_joins")
      :wait("2d"):track("Trial Started", { channel = "product" })
      :wait("1h"):track("Teammate Invited", { channel = "product", times = 2, every = "26h" })
      :expect_stage("mql")
      :expect_transitions { "engaged -> mql" }
      :expect_action("demo_invite")
      :expect_intent { at_least = 45 }
  end)
end)

describe("silence", function()
  it("of three weeks leads to nurture, by a timer", function()
    maria()
      :expect_timer("engaged -> nurture", "21d")
      :wait("20d"):expect_stage("engaged")
      :wait("2d"):expect_stage("nurture"):expect_transitions { "engaged -> nurture" }
  end)
end)
