-- HubSpot's webhooks: a list of up to a hundred notifications a request, each about one change of one object. HubSpot
-- repeats a request that was not answered with 200 (attemptNumber then grows). Its eventId alone "is not guaranteed to be
-- unique", so the messageId is made of what names the change. Signed: the app's client secret belongs into the option
-- source_secret; behind a proxy the option public_url says under which address HubSpot calls.
--
-- A contact is the identity hubspot-ID. When the property user_id (your own id, if you keep it in HubSpot) is set, it is
-- tied to your user. A deal's notifications name no contact: they are of the identity hubspot-deal-ID.
local s = require "source"

local contact = s.template "hubspot-{objectId}"
local deal = s.template "hubspot-deal-{objectId}"

local function property(name) return { subscriptionType = "contact.propertyChange", propertyName = name } end
local function stage(name) return { subscriptionType = "deal.propertyChange", propertyName = "dealstage",
  propertyValue = name } end

return s.source "hubspot" {
  owner = "revops@example.com",
  rationale = "What marketing and sales say of a contact, as it is said.",
  sign = "hubspot_v3",
  messageId = s.template "{subscriptionId}-{objectId}-{eventId}-{occurredAt}",
  timestamp = s.epoch_ms(s.need "occurredAt"),
  userId = contact,
  channel = "crm",
  rules = {
    s.rule "contact made" {
      when = { subscriptionType = "contact.creation" },
      event = "crm.contact_created",
      properties = { source = s.lower "changeSource", portal = s.pick "portalId" },
    },
    s.rule "our own user" {
      when = s.all { property "user_id", s.has "propertyValue" },
      type = "alias", previousId = contact, userId = s.text "propertyValue",
      why = "What is known of the contact and of the user is then of one lead.",
    },
    s.rule "address" {
      when = s.all { property "email", s.has "propertyValue" },
      type = "identify", traits = { email = s.lower "propertyValue" },
    },
    s.rule "names" {
      when = s.all { property { "firstname", "lastname", "phone" }, s.has "propertyValue" },
      type = "identify",
      traits = {
        firstName = s.given({ propertyName = "firstname" }, s.text "propertyValue"),
        lastName = s.given({ propertyName = "lastname" }, s.text "propertyValue"),
        phone = s.given({ propertyName = "phone" }, s.text "propertyValue"),
      },
    },
    s.rule "company" {
      when = s.all { property { "numemployees", "industry", "hs_seniority" }, s.has "propertyValue" },
      type = "identify",
      traits = {
        employees = s.given({ propertyName = "numemployees" }, s.maybe(s.number "propertyValue")),
        industry = s.given({ propertyName = "industry" }, s.lower "propertyValue"),
        seniority = s.given({ propertyName = "hs_seniority" }, s.map("propertyValue", {
          executive = "executive", vp = "executive", owner = "executive", director = "manager", manager = "manager" },
          "individual")),
      },
    },
    s.rule "lifecycle stage" {
      when = property "lifecyclestage",
      event = "crm.stage_changed",
      properties = { stage = s.lower "propertyValue", source = s.lower "changeSource" },
    },
    s.rule "unsubscribed" {
      when = s.all { property "hs_email_optout", s.is("propertyValue", "true", true) },
      event = "Unsubscribed",
    },
    s.skip "other properties" {
      when = { subscriptionType = "contact.propertyChange" },
      why = "Only the properties above are scored.",
    },
    s.rule "contacts merged" {
      when = { subscriptionType = "contact.merge" },
      each = "mergedObjectIds",
      type = "alias",
      previousId = s.template "hubspot-{.}",
      userId = s.first { s.template "hubspot-{/newObjectId}", s.template "hubspot-{/primaryObjectId}" },
    },
    s.rule "deal made" {
      when = { subscriptionType = "deal.creation" },
      userId = deal, event = "crm.opportunity_created", properties = { deal = s.pick "objectId" },
    },
    s.rule "deal won" {
      when = stage "closedwon",
      userId = deal, event = "crm.opportunity_won", properties = { deal = s.pick "objectId" },
    },
    s.rule "deal lost" {
      when = stage "closedlost",
      userId = deal, event = "crm.opportunity_lost", properties = { deal = s.pick "objectId" },
    },
    s.rule "deal moved" {
      when = { subscriptionType = "deal.propertyChange", propertyName = "dealstage" },
      userId = deal, event = "crm.opportunity_moved",
      properties = { deal = s.pick "objectId", stage = s.lower "propertyValue" },
    },
    s.skip "other kinds" { why = "An app's subscriptions may be more than is scored; they would be sent again for a day." },
  },
}
