-- Stripe's webhooks: one Event object a request (id, type, created, data.object). Stripe sends an event again until it is
-- answered with 200, under the same id. Signed: the endpoint's secret ("whsec_…") belongs into the option source_secret.
--
-- Who it is: the id of your own user, when the checkout was begun with client_reference_id or metadata.user_id; else the
-- customer of Stripe. Pass one of the two when you create a session or a subscription, and payments find their lead.
local s = require "source"

local object = function(path) return s.pick("data.object." .. path) end
local who = s.first {
  object "client_reference_id", object "metadata.user_id", object "subscription_details.metadata.user_id",
  object "parent.subscription_details.metadata.user_id", s.template "stripe-{data.object.customer}",
}

return s.source "stripe" {
  owner = "revops@example.com",
  rationale = "Who pays, who stops paying, and whose card is refused.",
  sign = "stripe",
  messageId = s.pick "id",
  timestamp = s.epoch_s(s.need "created"),
  userId = who,
  channel = "billing",
  rules = {
    s.skip "test mode" { when = { livemode = false }, why = "Events of Stripe's test mode are about nobody." },
    s.rule "subscription begun" {
      when = { type = "customer.subscription.created" },
      event = "Subscription Started",
      properties = {
        plan = s.first { object "items.data.1.price.nickname", object "items.data.1.price.id" },
        interval = object "items.data.1.price.recurring.interval",
        seats = object "items.data.1.quantity",
        amount = s.divide(object "items.data.1.price.unit_amount", 100),
        currency = object "currency",
        status = object "status",
      },
    },
    s.rule "subscription changed" {
      when = { type = "customer.subscription.updated" },
      event = "Subscription Changed",
      properties = {
        plan = s.first { object "items.data.1.price.nickname", object "items.data.1.price.id" },
        seats = object "items.data.1.quantity",
        status = object "status",
        cancels = object "cancel_at_period_end",
      },
    },
    s.rule "subscription ended" {
      when = { type = "customer.subscription.deleted" },
      event = "Subscription Cancelled",
      properties = { reason = object "cancellation_details.reason", status = object "status" },
    },
    s.rule "invoice paid" {
      when = { type = "invoice.paid" },
      event = "Invoice Paid",
      properties = {
        amount = s.divide(object "amount_paid", 100), currency = object "currency", reason = object "billing_reason",
        invoice = object "id",
      },
    },
    s.rule "payment failed" {
      when = { type = "invoice.payment_failed" },
      event = "Payment Failed",
      properties = {
        amount = s.divide(object "amount_due", 100), currency = object "currency", attempts = object "attempt_count",
        invoice = object "id",
      },
    },
    -- The session knows the address: it is also who the lead is.
    s.rule "checkout completed" {
      when = { type = "checkout.session.completed" },
      events = {
        { type = "identify", traits = { email = s.lower(s.first {
          object "customer_details.email", object "customer_email" }) } },
        { event = "Checkout Completed", properties = {
          amount = s.divide(object "amount_total", 100), currency = object "currency", mode = object "mode" } },
      },
    },
    s.skip "other kinds" {
      why = "The endpoint may be subscribed to more than is scored; without this rule Stripe would send it again for days.",
    },
  },
}
