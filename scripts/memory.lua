--- Memory: fields that a policy keeps of each lead between decisions, each with a type and bounds. They change by data
--- alone: on events, before anything else is computed (memory.on), and when a transition is taken (journey.go's set and
--- add). Every rule may read them; what a transition changes, the rules behind it read.
local declare = require "declare"
local freeze = require "frozen"
local numbers = require "numbers"
local tree = require "tree"
local value = require "value"

local memory = {}

local MERGES = { number = { "max", "sum", "latest" }, flag = { "max", "latest" }, time = { "max" }, choice = { "latest" } }

local function is_among(list, word)
  for _, other in ipairs(list) do
    if other == word then return true end
  end
  return false
end

-- A field, and its handle as a value.
local function field(kind, entry, fields)
  entry.kind, entry.type, entry.why = "memory." .. kind, kind, fields.why
  entry.merge = fields.merge or MERGES[kind][1]
  if not is_among(MERGES[kind], entry.merge) then
    local list = MERGES[kind]
    tree.problem(
      entry,
      "%s '%s': merge is %s, not '%s'%s",
      entry.kind,
      entry.name,
      table.concat(list, " or "),
      entry.merge,
      tree.hint(entry.merge, list)
    )
    entry.merge = list[1]
  end
  declare.add(tree.fields, entry)
  return value.make {
    kind = "memory",
    field = entry,
    name = entry.name,
    label = entry.name,
    is_duration = kind == "time",
    options = entry.options,
  }
end

--- memory.number "calls_made" { initial = 0, at_least = 0, at_most = 100, merge = "max" | "sum" | "latest", why }
---@param name string
---@return fun(body: {initial?: number, at_least?: number, at_most: number, merge?: string, why: string}): Value
memory.number = declare.named(
  "memory.number",
  { initial = "number", at_least = "number", at_most = "number!", merge = "text", why = "text!" },
  function(entry, fields)
    entry.least, entry.most = fields.at_least or 0, fields.at_most or 0
    entry.initial = fields.initial or math.max(entry.least, 0)
    if fields.at_most and entry.least >= entry.most then
      tree.problem(entry, "memory.number '%s': at_least is below at_most", entry.name)
    elseif fields.at_most and (entry.initial < entry.least or entry.initial > entry.most) then
      tree.problem(
        entry,
        "memory.number '%s': initial is from %s to %s, not %s",
        entry.name,
        numbers.show(entry.least),
        numbers.show(entry.most),
        numbers.show(entry.initial)
      )
    end
    return field("number", entry, fields)
  end
)

--- memory.flag "asked_not_to_call" { merge = "max" | "latest", why }: as a condition, it is set; at first it is not.
---@param name string
---@return fun(body: {merge?: string, why: string}): Value
memory.flag = declare.named("memory.flag", { merge = "text", why = "text!" }, function(entry, fields)
  entry.least, entry.most, entry.initial = 0, 1, 0
  return field("flag", entry, fields)
end)

--- memory.time "last_call" { why }: as a value, how long ago it was; not known while it never was.
---@param name string
---@return fun(body: {why: string}): Value
memory.time = declare.named("memory.time", { merge = "text", why = "text!" }, function(entry, fields)
  entry.least, entry.most, entry.initial = -1, 9e15, -1
  return field("time", entry, fields)
end)

--- memory.choice "plan" { of = { "free", "pro" }, initial = "free", why }: compared by :is "pro"; not known while it is none.
---@param name string
---@return fun(body: {of: string[], initial?: string, why: string}): Value
memory.choice = declare.named(
  "memory.choice",
  { of = "texts!", initial = "text", merge = "text", why = "text!" },
  function(entry, fields)
    entry.options, entry.initial = fields.of or {}, -1
    for i, option in ipairs(entry.options) do
      if option == fields.initial then entry.initial = i - 1 end
      for j = 1, i - 1 do
        if entry.options[j] == option then
          tree.problem(entry, "memory.choice '%s': '%s' is there twice", entry.name, option)
        end
      end
    end
    if fields.initial and entry.initial < 0 and fields.of then
      tree.problem(
        entry,
        "memory.choice '%s': initial is one of %s, not '%s'%s",
        entry.name,
        table.concat(entry.options, ", "),
        fields.initial,
        tree.hint(fields.initial, entry.options)
      )
    end
    entry.least, entry.most = -1, #entry.options - 1
    return field("choice", entry, fields)
  end
)

--- memory.on "crm.call_logged" { add = { calls_made = 1 }, set = { last_call = "now" }, when?, why }: as soon as the event
--- comes, before any other rule. `set`: a number, true or false, "now" or "never", an option or "none".
---@param events string|string[]
---@return fun(body: {set?: table, add?: table<string, number>, when?: Condition, why: string})
function memory.on(events)
  local place = tree.place()
  local list = type(events) == "table" and events or { events }
  local name = type(list[1]) == "string" and list[1] or "?"
  local entry = { kind = "memory.on", name = name, path = place.path, line = place.line }
  tree.pending[#tree.pending + 1] = entry
  for key, event in pairs(list) do
    if type(key) ~= "number" or type(event) ~= "string" or event == "" then
      error("memory.on takes the name of an event, or a list of names", 2)
    end
  end
  return function(body)
    entry.has_body = true
    local fields = declare.fields(entry, { set = "table", add = "table", when = "condition", why = "text!" }, body)
    entry.events, entry.set, entry.add, entry.when, entry.why = list, fields.set, fields.add, fields.when, fields.why
    tree.remembers[#tree.remembers + 1] = entry
  end
end

return freeze("memory", memory)
