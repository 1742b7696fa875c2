-- What the shopper looks at and puts into the basket. The form of a declaration is explained in docs/features.md.
return {
  { name = "product_views_7d", op = "count", on = { "Product Viewed" }, window = "7d",
    description = "Products looked at in a week." },
  { name = "searches_7d", op = "count", on = { "Product Searched" }, window = "7d", description = "Searches in a week." },
  { name = "visits", op = "sessions", on = { { type = "page" }, "Product Viewed" }, session_gap = "30m",
    description = "Visits, half an hour apart." },
  { name = "basket_adds_3d", op = "count", on = { "Product Added" }, window = "3d",
    description = "Things put into the basket in three days." },
  { name = "basket_value_3d", op = "sum", on = { "Product Added" }, of = "properties.price", window = "3d",
    description = "What they cost together." },
  { name = "basket_age", op = "recency", on = { "Product Added", "Checkout Started" },
    description = "Since the basket was last touched." },
  { name = "checkouts_3d", op = "count", on = { "Checkout Started" }, window = "3d",
    description = "Begun to pay in three days." },
  { name = "chats_7d", op = "count", on = { "Chat Started" }, window = "7d", description = "Asked us in a week." },
  { name = "idle", op = "recency", on = { { type = "page" }, "Product Viewed", "Product Added" },
    description = "Since the shopper last looked around." },
}
