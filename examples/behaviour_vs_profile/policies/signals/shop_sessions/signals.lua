-- Sessions of an online shop (UCI, Sakar & Kastro): one event a session, with what was counted in it.
return {
  name = "shop_sessions",
  version = 1,
  owner = "shop@example.com",
  rationale = "What a visitor did in a session, and what is known without it.",
  events = { "Session Ended", "Purchased", "Left" },
  -- How it ended. No feature hears either. PageValues is left out, since the shop's analytics make it of the purchases.
  labels = { { name = "bought", event = "Purchased", within = "1h", unless = { "Left" } } },
}
