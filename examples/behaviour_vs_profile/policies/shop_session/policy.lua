-- Scores a session once: when it ends, before anybody knows whether it ended with a purchase.
local policy, signal, journey, score = require "policy", require "signal", require "journey", require "score"
local go = journey.go
local f = signal.features "shop_sessions@1"

policy "shop_session" {
  owner = "shop@example.com",
  rationale = "One moment for all, so that models can be compared: the end of the session.",
  boundary = "An experiment. Decides nothing about anybody.",
  mode = "score",
  eligible = f.product_pages:is_known(),
}
score.bands { { "low", 0 }, { "middle", 40 }, { "high", 60 } }

journey.start "visiting"
journey.stage "visiting" {
  go "scored" { on = "Session Ended", why = "All that will be known of its behaviour is known." },
}
journey.stage "scored" {
  go "ended" { on = { "Purchased", "Left" }, why = "How it ended." },
}
journey.final "ended"
