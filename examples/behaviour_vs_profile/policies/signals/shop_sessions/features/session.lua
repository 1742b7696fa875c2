-- A session is one event, so each feature is what that event says.
local function number(name, path, class, description)
  return { name = name, op = "last", on = "Session Ended", of = "properties." .. path, class = class, description = description }
end
local function text(name, path, description)
  local declaration = number(name, path, "profile", description)
  declaration.text = true
  return declaration
end
return {
  text("system", "system", "The operating system, as a number."),
  text("browser", "browser", "The browser, as a number."),
  text("region", "region", "Where it came from, as a number."),
  text("traffic", "traffic", "What led to the shop, as a number."),
  text("visitor", "visitor", "New, returning, or other."),
  number("weekend", "weekend", "profile", "It was a weekend."),
  number("special_day", "special_day", "profile", "How near a day of presents was, 0 to 1."),
  number("account_pages", "administrative", "behaviour", "Pages about the account."),
  number("account_seconds", "administrative_seconds", "behaviour", "Time on them."),
  number("info_pages", "informational", "behaviour", "Pages about the shop."),
  number("info_seconds", "informational_seconds", "behaviour", "Time on them."),
  number("product_pages", "product", "behaviour", "Pages of products."),
  number("product_seconds", "product_seconds", "behaviour", "Time on them."),
  number("bounce_rate", "bounce_rate", "behaviour", "Of the pages seen: how often visitors leave at once, on average."),
  number("exit_rate", "exit_rate", "behaviour", "Of the pages seen: how often they are a visit's last, on average."),
}
