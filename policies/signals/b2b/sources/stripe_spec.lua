return {
  {
    name = "an invoice is paid by a user whose id the subscription carries",
    file = "fixtures/stripe_invoice_paid.json",
    events = { {
      type = "track", event = "Invoice Paid", userId = "u-4711", channel = "billing", timestamp = 1722153063000,
      messageId = "stripe-evt_1PgafTB7WZ01zgkWxA4kqTj7", context = { source = "stripe" },
      properties = { amount = 29, currency = "eur", reason = "subscription_cycle", invoice = "in_1PgafRB7WZ01zgkWqv2XcYdE" },
    } },
  },
  {
    name = "a subscription begins",
    file = "fixtures/stripe_subscription_created.json",
    events = { { event = "Subscription Started", userId = "u-4711", properties = {
      plan = "Team", interval = "month", seats = 5, amount = 19.99, currency = "eur", status = "active" } } },
  },
  {
    name = "a subscription without our id is of Stripe's customer",
    file = "fixtures/stripe_subscription_deleted.json",
    events = { { event = "Subscription Cancelled", userId = "stripe-cus_QXg1o8vcGmoR32",
      properties = { reason = "cancellation_requested", status = "canceled" } } },
  },
  {
    name = "a card is refused",
    file = "fixtures/stripe_payment_failed.json",
    events = { { event = "Payment Failed", properties = { amount = 99.95, currency = "eur", attempts = 2, invoice = "in_2" } } },
  },
  {
    name = "a checkout says who it was, and that it happened",
    file = "fixtures/stripe_checkout.json",
    events = {
      { type = "identify", userId = "u-4711", traits = { email = "ada@analytical.example" },
        messageId = "stripe-evt_1PgafTB7WZ01zgkW00000004-1" },
      { type = "track", event = "Checkout Completed", messageId = "stripe-evt_1PgafTB7WZ01zgkW00000004-2",
        properties = { amount = 119.94, currency = "eur", mode = "subscription" } },
    },
  },
  {
    name = "test mode is nobody's",
    json = [[{"id": "evt_1", "type": "invoice.paid", "livemode": false, "created": 1, "data": {"object": {}}}]],
    skipped = "test mode",
  },
  {
    name = "kinds that are not scored are taken all the same",
    json = [[{"id": "evt_1", "type": "charge.refunded", "livemode": true, "created": 1, "data": {"object": {}}}]],
    skipped = "other kinds",
  },
  {
    name = "an event that names nobody is refused",
    json = [[{"id": "evt_1", "type": "invoice.paid", "livemode": true, "created": 1, "data": {"object": {}}}]],
    refused = "invoice paid: nothing stands where it should say who it is",
  },
}
