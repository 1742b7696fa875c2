-- Who the shopper is to us, and what we may send.
return {
  { name = "email_domain", op = "last", of = "traits.email", on = { { type = "identify" } }, part = "domain", text = true,
    class = "profile", description = "What follows the @ of the shopper's address, in lower case." },
  { name = "country", op = "last", of = "traits.country", on = { { type = "identify" } }, text = true, class = "profile",
    description = "Where we deliver, two letters." },
  { name = "is_known", op = "flag", on = { { type = "identify" } }, class = "profile",
    description = "1 once the shopper said who it is." },
  { name = "subscribed_ago", op = "recency", on = { "Subscribed" }, description = "Since the shopper asked for our mail." },
  { name = "unsubscribed_ago", op = "recency", on = { "Unsubscribed" }, description = "Since the shopper asked for no more of it." },
  { name = "mail_clicks_30d", op = "count", on = { "Email Link Clicked" }, window = "30d", tile = "1d",
    description = "Links clicked in a month." },
}
