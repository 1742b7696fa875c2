-- What the lead does with our mail.
return {
  { name = "email_clicks_7d", op = "count", on = { "Email Link Clicked" }, window = "7d",
    description = "Links clicked in a week." },
  { name = "unsubscribed", op = "flag", on = { "Unsubscribed" },
    description = "1 once the lead asked for no more mail." },
}
