-- What is known from the form alone: the static profile.
local submitted = { event = "A_SUBMITTED" }
return {
  { name = "amount", op = "last", on = { submitted }, of = "properties.amount_req", class = "profile",
    description = "The amount asked for, in euros." },
  { name = "registered_hour", op = "time_of_day", on = { submitted }, zone = "Europe/Amsterdam", class = "profile",
    description = "The hour at which it was registered." },
  { name = "registered_weekday", op = "weekday", on = { submitted }, zone = "Europe/Amsterdam", class = "profile",
    description = "The weekday on which it was registered." },
}
