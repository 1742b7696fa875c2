-- What a shop's pages, baskets, orders and mails say of a shopper. Event names are those of Segment's commerce vocabulary.
return {
  name = "shop",
  version = 1,
  owner = "crm@example.com",
  rationale = "What shoppers look at, put into the basket, buy and send back, so that they are helped when help is wanted " ..
    "and left alone when it is not.",
  events = {
    "Product Viewed", "Product Searched", "Product Added", "Product Removed", "Checkout Started", "Order Completed",
    "Order Refunded", "Chat Started", "Email Link Clicked", "Subscribed", "Unsubscribed", "Account Closed",
  },
  -- What scores foretell: an order within a week.
  labels = {
    { name = "orders_7d", event = "Order Completed", within = "7d", unless = { "Account Closed" },
      read_by = { "orders", "orders_3d", "spent_1y", "order_age" } }, -- who bought, buys again
  },
  personal = {
    "traits.email", "traits.phone", "traits.firstName", "traits.lastName", "traits.name", "traits.address", "context.ip",
  },
}
