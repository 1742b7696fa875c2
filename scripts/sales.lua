--- What sales says of a lead outranks rules: events of reserved names (docs/events.md#sales), which no policy need
--- declare. A policy's head may name others that mean the same: `sales = { disqualified = "Lead Disqualified" }`.
local declare = require "declare"
local freeze = require "frozen"
local tree = require "tree"

local sales = {}

--- The reserved name of each thing that sales says.
sales.reserved = {
  owner_set = "crm.owner_set",
  owner_cleared = "crm.owner_cleared",
  stage_set = "crm.stage_set",
  disqualified = "crm.lead_disqualified",
  requalified = "crm.lead_requalified",
  rejected = "crm.lead_rejected",
  accepted = "crm.lead_accepted",
}
--- The same, in the order of the engine's numbers.
sales.kinds = { "owner_set", "owner_cleared", "stage_set", "disqualified", "requalified", "rejected", "accepted" }

local KEYS = { not_again_for = "duration" }
for _, kind in ipairs(sales.kinds) do
  KEYS[kind] = "texts"
end

---@class PolicySales
---@field owner_set? string|string[] names of events by which sales sets an owner: properties.owner
---@field owner_cleared? string|string[]
---@field stage_set? string|string[] the stage that sales moves a lead to: properties.stage
---@field disqualified? string|string[] why: properties.reason
---@field requalified? string|string[]
---@field rejected? string|string[] the owner gives the lead back
---@field accepted? string|string[]
---@field not_again_for? string how long routes pass by who gave a lead back; default "30d"

--- What the head says: {not_again_ms, owner_set = {names}, …}.
---@param head table the policy's entry
---@param body? PolicySales
function sales.read(head, body)
  if not body then return {} end
  local entry = { kind = "sales of policy", name = head.name, path = head.path, line = head.line }
  local fields = declare.fields(entry, KEYS, body)
  local said, meant = { not_again_ms = fields.not_again_for }, {}
  for _, kind in ipairs(sales.kinds) do
    meant[sales.reserved[kind]] = kind
  end
  for _, kind in ipairs(sales.kinds) do
    for _, event in ipairs(fields[kind] or {}) do
      if meant[event] and meant[event] ~= kind then
        tree.problem(entry, "sales: '%s' can't mean %s and %s", event, meant[event], kind)
      elseif not meant[event] then
        meant[event] = kind
        said[kind] = said[kind] or {}
        said[kind][#said[kind] + 1] = event
      end
    end
  end
  return said
end

--- What an event of that name says for sales; nil: nothing.
---@param event string
---@return string?
function sales.meaning(event)
  for _, kind in ipairs(sales.kinds) do
    if sales.reserved[kind] == event then return kind end
    for _, name in ipairs(tree.policy and tree.policy.sales and tree.policy.sales[kind] or {}) do
      if name == event then return kind end
    end
  end
  return nil
end

return freeze("sales", sales)
