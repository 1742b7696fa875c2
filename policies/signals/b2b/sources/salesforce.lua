-- Salesforce, in two shapes. Change Data Capture: {schema, payload = {ChangeEventHeader, changed fields}, event}, as a
-- subscriber of the event bus passes it on; one change may be of several records (recordIds), and says only the fields that
-- changed. Outbound messages, from SOAP into JSON: {OrganizationId, ActionId, Notification = [{Id, sObject}]}. Neither is
-- signed by Salesforce itself: whoever passes it on sends a token, which belongs into the option source_secret.
--
-- A lead or contact is the identity salesforce-ID, tied to your user when the field Intentd_User_Id__c has its id.
local s = require "source"

local field = function(name) return s.whole("payload." .. name) end
local record = s.template "salesforce-{.}"

local function change(entity, kind, ...)
  return s.all { s.is("payload.ChangeEventHeader.entityName", unpack(entity)),
    s.is("payload.ChangeEventHeader.changeType", unpack(kind)), ... }
end
local PEOPLE, ANY = { "Lead", "Contact" }, { "CREATE", "UPDATE" }

-- What both shapes say of a person, by a function that reads a field.
local function person(get)
  return {
    email = s.lower(get "Email"), phone = s.text(get "Phone"),
    firstName = s.text(get "FirstName"), lastName = s.text(get "LastName"),
    employees = s.maybe(s.number(get "NumberOfEmployees")), industry = s.lower(get "Industry"),
    seniority = s.lower(get "Seniority__c"),
  }
end

local function sobject(name) return s.pick("sObject." .. name) end

return s.source "salesforce" {
  owner = "revops@example.com",
  rationale = "Leads, contacts and opportunities as sales keeps them.",
  sign = "token",
  messageId = s.template "{payload.ChangeEventHeader.transactionKey}-{payload.ChangeEventHeader.sequenceNumber}",
  timestamp = s.epoch_ms(s.need "payload.ChangeEventHeader.commitTimestamp"),
  channel = "crm",
  rules = {
    s.rule "our own user" {
      when = change(PEOPLE, ANY, s.has "payload.Intentd_User_Id__c"),
      each = "payload.ChangeEventHeader.recordIds",
      userId = s.text(field "Intentd_User_Id__c"),
      events = {
        { type = "alias", previousId = record },
        { type = "identify", traits = person(field) },
      },
    },
    s.rule "lead made" {
      when = change({ "Lead" }, { "CREATE" }),
      each = "payload.ChangeEventHeader.recordIds",
      userId = record,
      events = {
        { type = "identify", traits = person(field) },
        { event = "crm.lead_created", properties = { source = s.lower(field "LeadSource"), status = s.lower(field "Status") } },
      },
    },
    s.rule "person changed" {
      when = change(PEOPLE, ANY),
      each = "payload.ChangeEventHeader.recordIds",
      userId = record,
      type = "identify", traits = person(field),
    },
    s.rule "opportunity made" {
      when = change({ "Opportunity" }, { "CREATE" }),
      each = "payload.ChangeEventHeader.recordIds",
      userId = s.first { s.template "salesforce-{/payload.ContactId}", record },
      event = "crm.opportunity_created",
      properties = { opportunity = s.pick ".", amount = s.number(field "Amount"), stage = s.lower(field "StageName") },
    },
    s.rule "opportunity won" {
      when = change({ "Opportunity" }, { "UPDATE" }, s.is("payload.StageName", "Closed Won")),
      each = "payload.ChangeEventHeader.recordIds",
      userId = s.first { s.template "salesforce-{/payload.ContactId}", record },
      event = "crm.opportunity_won", properties = { opportunity = s.pick ".", amount = s.number(field "Amount") },
    },
    s.rule "opportunity lost" {
      when = change({ "Opportunity" }, { "UPDATE" }, s.is("payload.StageName", "Closed Lost")),
      each = "payload.ChangeEventHeader.recordIds",
      userId = s.first { s.template "salesforce-{/payload.ContactId}", record },
      event = "crm.opportunity_lost", properties = { opportunity = s.pick "." },
    },
    s.rule "outbound message" {
      when = s.has "Notification",
      each = "Notification",
      messageId = s.pick "Id",
      timestamp = s.time(s.first { sobject "LastModifiedDate", sobject "SystemModstamp" }, "rfc3339"),
      userId = s.template "salesforce-{sObject.Id}",
      type = "identify", traits = person(sobject),
    },
    s.skip "other changes" {
      when = s.has "payload.ChangeEventHeader",
      why = "Other objects and fields, deletions, and gap events, which carry no fields.",
    },
  },
}
