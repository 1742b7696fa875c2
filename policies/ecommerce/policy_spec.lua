-- What ecommerce should make of a few shoppers. Run by `intent test policies/ecommerce`. Times are the events' own.
local function does(after, event, properties) return { after = after, event = event, properties = properties } end
local who = { at = "2026-03-02T09:00:00Z", type = "identify", userId = "kim",
  traits = { email = "kim@mail.example", country = "DE" } }
local basket = { who, does("1m", "Subscribed"), does("5m", "Product Added", { price = 120 }) }
local function after_basket(...)
  local events = { basket[1], basket[2], basket[3] }
  for _, event in ipairs { ... } do
    events[#events + 1] = event
  end
  return events
end

return {
  { name = "who looks around is left alone",
    events = { who, { after = "1m", event = "Product Viewed", times = 3, every = "1m" } },
    expect = { stage = "browsing", action = "wait", held = "none" } },

  { name = "a basket that is left behind is remembered by mail, once",
    events = after_basket({ after = "5h" }, { after = "1h" }, { after = "13h" }),
    expect_each = {
      { stage = "browsing" }, { stage = "browsing" },
      { stage = "basket", transitions = { "browsing -> basket" }, action = "wait" },
      { stage = "left_behind", action = "remind" },
    },
    expect = { stage = "left_behind" } },

  { name = "without a yes there is no mail",
    events = { who, does("5m", "Product Added", { price = 120 }), { after = "5h" } },
    expect = { stage = "left_behind", action = "wait", held = "consent" } },

  { name = "a no that is later than the yes counts, and so does a later yes",
    events = after_basket(does("1h", "Unsubscribed"), { after = "4h" }, does("1h", "Subscribed")),
    expect_each = { {}, {}, {}, {}, { stage = "left_behind", held = "consent" }, { action = "remind" } } },

  { name = "whoever asks with a full basket gets an answer from the old hands",
    events = { who, does("5m", "Product Added", { price = 800 }), does("10m", "Chat Started") },
    expect = { stage = "stuck", owner_in = { "noor", "sven" }, action = "answer" } },

  { name = "a small basket goes to whoever is there, and to nobody after half a day",
    events = { who, does("5m", "Product Added", { price = 30 }), does("10m", "Chat Started"), { after = "5h" } },
    expect_each = { {}, {}, { stage = "stuck", owner_in = { "ada", "ben" } }, { stage = "left_behind" } } },

  { name = "on Saturday evening the half day begins on Monday",
    events = {
      { at = "2026-03-07T16:00:00Z", type = "identify", userId = "kim", traits = { email = "kim@mail.example" } },
      does("5m", "Product Added", { price = 30 }), does("10m", "Chat Started"), { after = "30h" }, { after = "13h" },
    },
    expect_each = { {}, {}, { stage = "stuck" }, { stage = "stuck" }, { stage = "left_behind" } } },

  { name = "who begins to pay scores 50 at least, and who has bought 40 at most",
    events = after_basket(does("5m", "Checkout Started"), does("5m", "Order Completed", { total = 120 })),
    expect_each = { {}, {}, {}, { min_combined = 50 }, { stage = "buyer", max_combined = 40 } } },

  { name = "a buyer is thanked when it arrived, and forgotten by nobody for four months",
    events = after_basket(does("5m", "Order Completed", { total = 240 }), { after = "3d", type = "page", name = "Home" },
      { after = "118d" }, { after = "1d", type = "page", name = "Home" }),
    expect_each = { {}, {}, {}, { stage = "buyer" }, { action = "thank" }, { stage = "lapsed" } } },

  { name = "our own people and those who send everything back are left out",
    events = {
      { at = "2026-03-02T09:00:00Z", type = "identify", userId = "ada", traits = { email = "ada@shop.example" } },
      does("5m", "Product Added", { price = 30 }),
    },
    expect = { eligible = false, stage = "browsing", action = "wait", held = "not_eligible" } },
}
