-- What the lead's company does: filled from the roll-up of all leads whose `group` events name the same account.
return {
  { name = "demo_ago", op = "recency", on = "Demo Requested", description = "Since the lead asked for a demo." },
  { name = "account_demo_ago", op = "account", roll = "latest", of = "demo_ago", urgent = true,
    description = "Since anybody of the account asked for a demo." },
  { name = "account_people", op = "account", roll = "people", description = "People of the account that we know." },
  { name = "account_people_7d", op = "account", roll = "people", window = "7d",
    description = "Those of them that did something in a week." },
  { name = "account_roles", op = "account", roll = "distinct", of = "seniority",
    description = "How many kinds of seniority they have." },
  { name = "account_engagement", op = "account", roll = "max", of = "score.engagement",
    description = "The engagement score of the most engaged of them." },
  { name = "account_quiet", op = "account", roll = "last_touch",
    description = "Since anybody of the account did something." },
}
