-- Scores an application once: a day after the bank's first yes, if it has not ended by then.
local policy, signal, journey, score = require "policy", require "signal", require "journey", require "score"
local go = journey.go
local f = signal.features "applications@1"

policy "application_day" {
  owner = "lending-ops@example.com",
  rationale = "One moment for all, so that models can be compared: what was known a day after the first yes.",
  boundary = "An experiment. Decides nothing about anybody.",
  mode = "score",
  eligible = f.amount:is_known(),
}
score.bands { { "low", 0 }, { "middle", 40 }, { "high", 60 } }

local function ended(why) return go "ended" { on = { "A_APPROVED", "A_DECLINED", "A_CANCELLED" }, why = why } end

journey.start "submitted"
journey.stage "submitted" {
  go "open" { on = "A_PREACCEPTED", why = "The first yes." },
  ended "Over before it began.",
}
journey.stage "open" {
  ended "Over within the day: there is nothing to foretell.",
  go "scored" { after = "24h", why = "A day is over: what is known now is what counts." },
}
journey.stage "scored" { ended "How it ended." }
journey.final "ended"
