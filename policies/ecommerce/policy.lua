-- ecommerce: whom a shop helps, reminds or leaves alone. 10 points double the odds of an order within a week.
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, route, action = require "journey", require "route", require "action"
local all, any, none, go = signal.all, signal.any, signal.none, journey.go
local f = signal.features "shop@1"

policy "ecommerce" {
  owner = "crm@example.com",
  rationale = "Help whoever is stuck, remind whoever forgot, thank whoever buys, and write to nobody else.",
  boundary = "Chooses what to offer and when. Never sets a price, never refuses an order, never sees how somebody pays.",
  models = { engagement = "shop_orders" },
  team = "helpdesk",
  calendar = "opening_hours", -- data/opening_hours.csv: when people are there to chat and call
  eligible = none { f.email_domain:in_list("staff", "domain"), f.refunds_90d:at_least(5) },
}

-- Evidence of buying now, in points.
belief.channel "looking" { reliability = 0.7, at_most = 25 } -- many look
belief.channel "basket" { at_most = 50 } -- fewer reach for it
belief.channel "mail" { reliability = 0.5, at_most = 10 }
belief.channel "service" { at_most = 20 }

belief.evidence "compares" { when = f.product_views_7d:at_least(5), points = 20, half_life = "3d", channel = "looking",
  why = "Looks at one thing after another." }
belief.evidence "knows_the_word" { when = f.searches_7d:at_least(2), points = 15, half_life = "3d", channel = "looking",
  why = "Searches for something, and knows its name." }
belief.evidence "filled_basket" { when = f.basket_adds_3d:at_least(1), points = 25, half_life = "1d", channel = "basket",
  why = "Something lies in the basket." }
belief.evidence "at_the_till" { when = all { f.checkouts_3d:at_least(1), f.orders_3d:under(1) }, points = 30,
  half_life = "12h", channel = "basket", why = "Began to pay, and did not." }
belief.evidence "asks_us" { when = f.chats_7d:at_least(1), points = 20, half_life = "2d", channel = "service",
  why = "A question away from an order." }
belief.evidence "reads_our_mail" { when = f.mail_clicks_30d:at_least(2), points = 20, half_life = "14d", channel = "mail",
  why = "Comes when we write." }
belief.evidence "just_bought" { when = f.orders_3d:at_least(1), points = -20, half_life = "3d", channel = "basket",
  why = "Has what was wanted." }
belief.gate "serious" { when = belief.channels:at_least(2), why = "Looks, and does something about it." }

score.combined { score.engagement }
score.adjust "comes_again" { when = f.orders:at_least(2), points = 6, why = "Bought twice, buys again." }
score.adjust "means_it" { when = belief.passed "serious", points = 4, why = "Two signs of different kinds." }
score.adjust "sends_back" { when = f.refunds_90d:at_least(2), points = -10, why = "Orders, looks, sends back." }
score.cap "bought_already" { when = f.orders_3d:at_least(1), at_most = 40, why = "Another order within days is seldom." }
score.floor "wallet_in_hand" { when = all { f.checkouts_3d:at_least(1), f.orders_3d:under(1) }, at_least = 50,
  why = "Whoever begins to pay is worth a look, whatever was seen before." }
score.bands { { "passing", 0 }, { "interested", 35 }, { "likely", 55 } }

journey.start "browsing"
journey.stage "browsing" {
  go "buyer" { on = "Order Completed", why = "Bought." },
  go "basket" { when = f.basket_adds_3d:at_least(1), why = "Something lies in the basket." },
}
journey.stage "basket" {
  go "buyer" { on = "Order Completed", why = "Bought." },
  go "stuck" { when = f.chats_7d:at_least(1), on = "Chat Started", why = "Asks us with a basket in the hand." },
  go "left_behind" { after = "4h", why = "Four hours, and still in the basket." },
}
journey.stage "stuck" {
  go "buyer" { on = "Order Completed", why = "Bought." },
  go "left_behind" { after = "4 business hours", why = "We had half a day to help." },
}
journey.stage "left_behind" {
  go "buyer" { on = "Order Completed", why = "Bought after all." },
  go "basket" { on = "Product Added", why = "Is back." },
  go "browsing" { after = "3d", why = "Forgotten, and so do we." },
}
journey.stage "buyer" {
  go "basket" { on = "Product Added", why = "The next one." },
  go "lapsed" { after = "120d", why = "Four months without an order." },
}
journey.stage "lapsed" {
  go "buyer" { on = "Order Completed", why = "Back." },
  go "closed" { on = "Account Closed", why = "Said good-bye." },
}
journey.final "closed"

route.on_enter "stuck" -- who answers
route.to "large_baskets" { when = f.basket_value_3d:at_least(500), pick = "weighted", why = "The old hands." }
route.otherwise "chat" { pick = "weighted", why = "Whoever is there." }

-- Mail needs a yes that no later no took back, and is seldom; nobody is called at dinner.
local may_write = any { all { f.subscribed_ago:is_known(), none { f.unsubscribed_ago:is_known() } },
  (f.unsubscribed_ago - f.subscribed_ago):above(0) }
action.channel "mail" { consent = may_write, at_most = "2 in 7d", why = "Only who asked for it, and not too often." }
action.limits { per_lead = "1 in 12h", hold_out = "5% salt shop-1" }

action.offer "answer" { stages = { "stuck" }, utility = 60 + signal.clamp(f.basket_value_3d / 20, 0, 30),
  why = "Somebody waits for a word from us." }
action.offer "remind" { stages = { "left_behind" }, channel = "mail", cool_down = "3d",
  utility = 0.5 * belief.intent + signal.least(f.basket_value_3d / 10, 20), why = "A full basket is easily forgotten." }
action.offer "thank" { stages = { "buyer" }, channel = "mail", when = f.order_age:within("2d", "5d"), cool_down = "30d",
  utility = 20, why = "It arrived: is all well?" }
action.offer "win_back" { stages = { "lapsed" }, channel = "mail", when = f.spent_1y:at_least(100), cool_down = "60d",
  utility = signal.most(10, f.spent_1y / 50), why = "Good customers are asked why." }
action.otherwise "wait" { utility = 8, why = "By default, leave people alone." }
