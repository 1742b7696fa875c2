-- What was bought, and what came back.
return {
  { name = "orders", op = "count", on = { "Order Completed" }, description = "Orders so far." },
  { name = "orders_3d", op = "count", on = { "Order Completed" }, window = "3d", description = "Orders in three days." },
  { name = "spent_1y", op = "sum", on = { "Order Completed" }, of = "properties.total", window = "364d", tile = "14d",
    description = "Paid in a year." },
  { name = "order_age", op = "recency", on = { "Order Completed" }, description = "Since the last order." },
  { name = "refunds_90d", op = "count", on = { "Order Refunded" }, window = "90d", tile = "3d",
    description = "Orders sent back in three months." },
}
