--- Sources: how a system's raw payloads become unified events (docs/sources.md). A source is data: combinators from this
--- module that say where in a payload each part of an event stands. `check` walks it, scripts/mapping.lua runs it.
---
---   local s = require "source"
---   return s.source "shop" {
---     userId = s.pick "customer.id", messageId = s.pick "id", timestamp = s.time("created", "rfc3339"),
---     rules = { s.rule "order paid" { when = { kind = "order.paid" }, event = "Order Paid" } },
---   }
local freeze = require "frozen"
local numbers = require "numbers"
local times = require "times"
local tree = require "tree"

local source = {}

-- What the combinators make. A node: {op, …}. A place in the policy's text stands with what can be wrong.
local Expression, Condition, Rule, Source = {}, {}, {}, {}

local function is_a(kind, value) return type(value) == "table" and getmetatable(value) == kind end

--- Whether a value was made by a combinator for values, by one for conditions, by `source`.
function source.is_expression(value) return is_a(Expression, value) end
function source.is_condition(value) return is_a(Condition, value) end
function source.is_source(value) return is_a(Source, value) end

-- Where the declaration began whose body is being read: `return s.source "x" { … }` is a tail call, which leaves no
-- place of its own behind.
local began

local function problem(text, ...)
  local place = tree.place()
  tree.problem(place.path ~= "" and place or began, text, ...)
end

-- ---- paths ----

-- "data.object.id", "lines.1.amount", "." (the whole): a list of keys. A list counts from 1.
local function path_of(combinator, text)
  if type(text) ~= "string" or text == "" then
    problem("%s takes a path such as 'data.object.id'", combinator)
    return { text = "." }
  end
  local path = { text = text }
  if text == "." then return path end
  for part in (text .. "."):gmatch "([^.]*)%." do
    if part == "" then problem("%s: '%s' is no path: a key between two dots is missing", combinator, text) end
    if part == "0" then problem("%s: '%s': lists count from 1", combinator, text) end
    path[#path + 1] = { key = part, number = part:find "^%d+$" and tonumber(part) or nil }
  end
  return path
end

-- ---- values ----

local function node(op, fields)
  fields.op = op
  return setmetatable(fields, Expression)
end

-- Where a combinator reads something: a text is a path there.
local function read(combinator, value)
  if is_a(Expression, value) then return value end
  if type(value) == "string" then return node("pick", { path = path_of(combinator, value) }) end
  problem("%s takes a path or another combinator, not a %s", combinator, type(value))
  return node("const", {})
end

-- Where a value is given: a text is itself there.
local function given(combinator, value)
  if is_a(Expression, value) then return value end
  local kind = type(value)
  if kind == "string" or kind == "boolean" or numbers.is_finite(value) then return node("const", { value = value }) end
  problem("%s takes a text, a number, true, false or a combinator, not a %s", combinator, kind)
  return node("const", {})
end

local function reads(combinator, list)
  if type(list) ~= "table" or is_a(Expression, list) or #list == 0 then
    problem('%s takes a list, such as { "email", s.pick "work_email" }', combinator)
    return {}
  end
  local out = {}
  for i, value in ipairs(list) do out[i] = read(combinator, value) end
  return out
end

--- What stands at a path of the payload (inside a rule with `each`: of the element); "." is all of it.
function source.pick(path) return node("pick", { path = path_of("pick", path) }) end
--- The same of the whole payload, for a rule with `each`.
function source.whole(path) return node("whole", { path = path_of("whole", path) }) end
--- A value as it is. Texts, numbers, true and false stand for themselves wherever a value is given.
function source.const(value) return given("const", value) end
--- The first of several that is there and not an empty text.
function source.first(list) return node("first", { list = reads("first", list) }) end
--- As text without spaces around it; an empty one is nothing.
function source.text(value) return node("text", { of = read("text", value) }) end
--- The same in lower case (A to Z).
function source.lower(value) return node("lower", { of = read("lower", value) }) end
--- One value for another: `table` has them as texts; what it lacks is `otherwise` (nothing when there is none).
function source.map(value, map, otherwise)
  local of, to = read("map", value), {}
  if type(map) ~= "table" or is_a(Expression, map) then
    problem('map takes a table, such as { lead = "Lead" }')
    map = {}
  end
  for key, member in pairs(map) do
    if type(key) ~= "string" then problem("map: the keys of its table are texts, as payloads have them") end
    to[tostring(key)] = given("map", member)
  end
  return node("map", { of = of, to = to, otherwise = otherwise ~= nil and given("map", otherwise) or nil })
end
--- A number from a number or a text; "comma": the text has a decimal comma ("1.234,50").
function source.number(value, mark)
  if mark ~= nil and mark ~= "comma" then problem 'number: what may stand behind the value is "comma"' end
  return node("number", { of = read("number", value), comma = mark == "comma" })
end
--- A number divided by a constant: cents to euros.
function source.divide(value, by)
  if not numbers.is_finite(by) or by == 0 then
    problem "divide takes a number that is not zero"
    by = 1
  end
  return node("divide", { of = read("divide", value), by = by })
end

local function unknown_format(format)
  local near = type(format) == "string" and host.suggest(format, times.formats)
  problem(
    "time: no format '%s'%s; there are %s",
    tostring(format),
    near and ("; did you mean '" .. near .. "'?") or "",
    table.concat(times.formats, ", ")
  )
end
--- A time from text: "rfc3339" (also without a zone or a clock), "day_first" (31.12.2026), "month_first" (12/31/2026).
--- `zone` ("+01:00") holds where the text names none.
function source.time(value, format, zone)
  local known = false
  for _, name in ipairs(times.formats) do known = known or name == format end
  if not known then unknown_format(format) end
  local zone_ms = zone == nil and 0 or type(zone) == "string" and times.zone_ms(zone)
  if not zone_ms then problem('time: a zone is written as "+01:00", not as %s', tostring(zone)) end
  return node("time", { of = read("time", value), format = known and format or "rfc3339", zone_ms = zone_ms or 0 })
end
--- A time from seconds or milliseconds since 1970, as number or text.
function source.epoch_s(value) return node("epoch", { of = read("epoch_s", value), unit_ms = 1000 }) end
function source.epoch_ms(value) return node("epoch", { of = read("epoch_ms", value), unit_ms = 1 }) end
--- Parts of a person's name in one text: "Ada Lovelace", "Lovelace, Ada".
function source.first_name(value) return node("name", { of = read("first_name", value), part = "first" }) end
function source.last_name(value) return node("name", { of = read("last_name", value), part = "last" }) end
--- What follows the @ of an e-mail address, in lower case.
function source.domain(value) return node("domain", { of = read("domain", value) }) end
--- Those of a list that are there, as texts with `between` between them.
function source.join(list, between)
  if type(between) ~= "string" then
    problem 'join takes what stands between, such as " "'
    between = " "
  end
  return node("join", { list = reads("join", list), between = between })
end
--- A text with values in it: "hubspot-{objectId}"; "{/id}" is of the whole payload, for a rule with `each`. When one of
--- them is missing it is nothing.
function source.template(text)
  local parts, at = {}, 1
  if type(text) ~= "string" then
    problem 'template takes a text such as "order-{id}"'
    text = ""
  end
  while true do
    local open, close, path = text:find("{([^{}]*)}", at)
    if not open then break end
    if open > at then parts[#parts + 1] = text:sub(at, open - 1) end
    local of_whole = path:sub(1, 1) == "/"
    parts[#parts + 1] = node(of_whole and "whole" or "pick", { path = path_of("template", of_whole and path:sub(2) or path) })
    at = close + 1
  end
  if at <= #text then parts[#parts + 1] = text:sub(at) end
  return node("template", { text = text, parts = parts })
end
--- The value when a condition holds, else nothing.
function source.given(condition, value)
  return node("given", { when = source.condition("given", condition), of = given("given", value) })
end
--- The value; a payload without it is refused.
function source.need(value) return node("need", { of = read("need", value) }) end
--- The value; where it can't be read (no number, no time) it is nothing, instead of a reason to refuse.
function source.maybe(value) return node("maybe", { of = read("maybe", value) }) end

--- The hatch: Lua for what the combinators can't say. The function gets the payload (or the element of `each`), may not
--- assign to anything outside itself, and returns a value or nil; an error that it raises refuses the payload.
function source.custom(name, about, run)
  if type(name) ~= "string" or type(about) ~= "table" or type(run) ~= "function" then
    error('custom("name", { why = "…" }, function(payload) … end)', 2)
  end
  if type(about.why) ~= "string" or not about.why:find "%S" then
    problem("custom '%s' has no why: a rule says what it is for", name)
  end
  local pure, impure = host.pure(run)
  if not pure then problem("custom '%s' keeps state between calls: %s", name, tostring(impure)) end
  return node("custom", { name = name, why = about.why, run = run })
end

-- ---- conditions ----

local function condition(op, fields)
  fields.op = op
  return setmetatable(fields, Condition)
end

local function constants(combinator, values)
  local out = {}
  for i, value in ipairs(values) do
    local kind = type(value)
    if kind ~= "string" and kind ~= "boolean" and not numbers.is_finite(value) then
      problem("%s compares with texts, numbers, true and false, not with a %s", combinator, kind)
    end
    out[i] = value
  end
  if #out == 0 then problem("%s takes what to compare with", combinator) end
  return out
end

--- What stands at a path is one of the values.
function source.is(path, ...) return condition("is", { of = read("is", path), values = constants("is", { ... }) }) end
--- Something stands there, and not an empty text.
function source.has(path) return condition("has", { of = read("has", path) }) end
--- The text there begins so.
function source.starts(path, prefix)
  if type(prefix) ~= "string" or prefix == "" then
    problem "starts takes the text that it begins with"
    prefix = "?"
  end
  return condition("starts", { of = read("starts", path), prefix = prefix })
end

-- `{ type = "invoice.paid", livemode = true, status = { "won", "lost" } }`: all of these.
local function fields_are(combinator, fields)
  local list = {}
  for key, values in pairs(fields) do
    if type(key) ~= "string" then
      problem("%s takes a condition, or a table of paths and what stands there", combinator)
    else
      local list_of = type(values) == "table" and values or { values }
      list[#list + 1] =
        condition("is", { of = read(combinator, key), values = constants(combinator .. "." .. key, list_of) })
    end
  end
  if #list == 0 then problem("%s: an empty condition", combinator) end
  return #list == 1 and list[1] or condition("all", { list = list })
end

--- A condition, from a combinator or from a table of paths and values. For this module and mapping.lua.
function source.condition(combinator, value)
  if is_a(Condition, value) then return value end
  if type(value) == "table" and not is_a(Expression, value) then return fields_are(combinator, value) end
  problem("%s takes a condition, such as { type = 'invoice.paid' } or s.has 'email'", combinator)
  return condition("all", { list = {} })
end

local function several(op)
  return function(list)
    local out = {}
    if type(list) ~= "table" or is_a(Condition, list) or #list == 0 then
      problem("%s takes a list of conditions", op)
      list = {}
    end
    for i, member in ipairs(list) do out[i] = source.condition(op, member) end
    return condition(op, { list = out })
  end
end
source.all, source.any, source.none = several "all", several "any", several "none"

-- ---- rules ----

-- What an event consists of; "map": a table of values, "name": one of TYPES, said outright.
local FIELDS = {
  type = "name",
  event = "value",
  name = "value",
  userId = "id",
  anonymousId = "id",
  groupId = "id",
  previousId = "id",
  messageId = "id",
  timestamp = "value",
  channel = "value",
  schema = "value",
  properties = "map",
  traits = "map",
  context = "map",
}
local TYPES = { track = true, identify = true, page = true, screen = true, group = true, alias = true }
local RULE_KEYS = { when = true, each = true, events = true, why = true }
local SKIP_KEYS = { when = true, why = true }
local SOURCE_KEYS = { owner = true, rationale = true, sign = true, rules = true }

local function names_of(...)
  local names = {}
  for _, keys in ipairs { ... } do
    for key in pairs(keys) do names[#names + 1] = key end
  end
  table.sort(names)
  return names
end

local function record(where, value)
  local out = {}
  for key, member in pairs(value) do
    if type(key) ~= "string" then
      problem("%s: its keys are texts", where)
    elseif type(member) == "table" and not is_a(Expression, member) then
      out[key] = record(where .. "." .. key, member)
    else
      out[key] = given(where .. "." .. key, member)
    end
  end
  return node("record", { fields = out })
end

local function field(where, key, value)
  local kind = FIELDS[key]
  if kind == "name" then
    if TYPES[value] then return value end
    problem("%s: type is one of track, identify, page, screen, group, alias", where)
    return "track"
  end
  if kind == "map" and type(value) == "table" and not is_a(Expression, value) then
    return record(where .. "." .. key, value)
  end
  return given(where .. "." .. key, value)
end

-- The event's parts among the keys of `body`; a key that is neither one nor in `others` is a problem.
local function fields_of(where, body, others)
  local fields, allowed = {}, names_of(FIELDS, others)
  for key, value in pairs(body) do
    if FIELDS[key] then
      fields[key] = field(where, key, value)
    elseif not others[key] then
      local near = type(key) == "string" and host.suggest(key, allowed)
      problem("%s: no key '%s'%s", where, tostring(key), near and ("; did you mean '" .. near .. "'?") or "")
    end
  end
  return fields
end

local function named(kind, name, accept)
  if type(name) ~= "string" or not name:find "%S" then error(kind .. " takes a name in quotes", 3) end
  local path, line = host.here(1)
  return function(body)
    local where = ("%s '%s'"):format(kind, name)
    local outer = began
    began = { path = path or "", line = line or 0 }
    if type(body) ~= "table" then
      problem("%s takes a table { … }", where)
      body = {}
    end
    local made = accept(where, body)
    made.name, made.path, made.line = name, began.path, began.line
    began = outer
    return made
  end
end

local function check_why(where, why)
  if why ~= nil and (type(why) ~= "string" or not why:find "%S") then problem("%s: why is a text", where) end
end

--- What becomes of payloads of one kind: `when` says which (all without it), `each` makes events of every element of a
--- list in it, `events` lists several; all else are parts of the event, and what is not said is the source's.
function source.rule(name)
  return named("rule", name, function(where, body)
    local rule = { fields = fields_of(where, body, RULE_KEYS), why = body.why }
    check_why(where, body.why)
    if body.when ~= nil then rule.when = source.condition("when", body.when) end
    if body.each ~= nil then rule.each = path_of("each", body.each) end
    if body.events ~= nil then
      rule.events = {}
      local is_list = type(body.events) == "table" and #body.events > 0
      if not is_list then problem("%s: events is a list of events { … }", where) end
      for i, event in ipairs(is_list and body.events or {}) do
        local at = ("%s, event %d"):format(where, i)
        if type(event) ~= "table" then problem("%s: an event is a table { … }", at) end
        rule.events[i] = fields_of(at, type(event) == "table" and event or {}, {})
      end
    end
    return setmetatable(rule, Rule)
  end)
end

--- Payloads of which no event is wanted, and why; they count as taken.
function source.skip(name)
  return named("skip", name, function(where, body)
    local rule = { fields = fields_of(where, body, SKIP_KEYS), is_skip = true, why = body.why }
    if #names_of(rule.fields) > 0 then problem("%s: it makes no event, so it takes when and why only", where) end
    if type(body.why) ~= "string" or not body.why:find "%S" then
      problem("%s has no why: a rule says what it is for", where)
    end
    if body.when ~= nil then rule.when = source.condition("when", body.when) end
    return setmetatable(rule, Rule)
  end)
end

-- ---- signatures ----

local SCHEMES = { "hmac", "hubspot_v3", "stripe", "token" }
local SIGN_KEYS = { scheme = true, header = true, timestamp = true, tolerance = true }
local TOLERANCE_MS = 300000
local HEADERS = {
  hmac = "X-Signature",
  hubspot_v3 = "X-HubSpot-Signature-v3",
  stripe = "Stripe-Signature",
  token = "X-Source-Token",
}

local function header_name(where, value, preset)
  if value == nil then return preset end
  if type(value) == "string" and value:find "^[%w-]+$" and #value <= 60 then return value end
  problem("%s is the name of a header", where)
  return preset
end

local function sign_of(value)
  if type(value) == "string" then value = { scheme = value } end
  if type(value) ~= "table" then
    problem "sign takes a scheme, such as 'stripe' or { scheme = 'hmac', header = 'X-Signature' }"
    return nil
  end
  for key in pairs(value) do
    if not SIGN_KEYS[key] then problem("sign: no key '%s'%s", tostring(key), tree.hint(key, names_of(SIGN_KEYS))) end
  end
  if not HEADERS[value.scheme] then
    problem("sign: no scheme '%s'%s; there are %s", tostring(value.scheme), tree.hint(value.scheme, SCHEMES),
      table.concat(SCHEMES, ", "))
    return nil
  end
  local tolerance = value.tolerance == nil and TOLERANCE_MS or numbers.duration_ms(value.tolerance)
  if not tolerance or tolerance <= 0 or tolerance > 86400000 then
    problem('sign: tolerance is a duration up to a day, such as "5m"')
    tolerance = TOLERANCE_MS
  end
  return {
    scheme = value.scheme,
    header = header_name("sign.header", value.header, HEADERS[value.scheme]),
    timestamp = header_name("sign.timestamp", value.timestamp, nil),
    tolerance_ms = tolerance,
  }
end

-- ---- the source ----

-- The rules in their order; the one that a payload meets first is its.
local function rules_of(where, list)
  if type(list) ~= "table" or #list == 0 then
    problem("%s has no rules = { s.rule … }", where)
    return {}
  end
  local rules, seen, catches_all = {}, {}, nil
  for _, rule in ipairs(list) do
    if not is_a(Rule, rule) then
      problem("%s: rules are made by s.rule and s.skip", where)
    else
      if seen[rule.name] then tree.problem(rule, "rule '%s' is declared twice", rule.name) end
      if catches_all then
        tree.problem(rule, "rule '%s' is never reached: '%s' before it has no when", rule.name, catches_all)
      end
      seen[rule.name] = true
      if not rule.when then catches_all = rule.name end
      rules[#rules + 1] = rule
    end
  end
  return rules
end

-- Every event must be able to say who, what and when.
local function check_event(rule, at, event, defaults)
  local function has(key) return event[key] or rule.fields[key] or defaults[key] end
  local kind = has "type" or "track"
  if not has "userId" and not has "anonymousId" then
    tree.problem(rule, "%s: neither userId nor anonymousId says whose event it is", at)
  end
  if kind == "track" and not has "event" then tree.problem(rule, "%s: a track needs an event: its name", at) end
  if kind == "group" and not has "groupId" then tree.problem(rule, "%s: a group needs a groupId", at) end
  if kind == "alias" and not has "previousId" then tree.problem(rule, "%s: an alias needs a previousId", at) end
  if not has "messageId" then
    tree.warn(rule, "%s: no messageId: equal payloads are then one event, and a retry that differs is a second", at)
  end
end

local function check_rules(made)
  for _, rule in ipairs(made.rules) do
    local at = ("rule '%s'"):format(rule.name)
    if rule.events then
      for i, event in ipairs(rule.events) do check_event(rule, ("%s, event %d"):format(at, i), event, made.fields) end
    elseif not rule.is_skip then
      check_event(rule, at, {}, made.fields)
    end
  end
end

--- A source: its rules, and the parts of an event that all of them share, read from the payload as a whole.
function source.source(name)
  return named("source", name, function(where, body)
    if not name:find "^%l[%l%d_]*$" or #name > 63 then
      problem("%s: a source is named by its file: a-z, 0-9 and _, a letter first", where)
    end
    local made = setmetatable({
      name = name,
      owner = body.owner,
      rationale = body.rationale,
      fields = fields_of(where, body, SOURCE_KEYS),
      sign = body.sign ~= nil and sign_of(body.sign) or nil,
      rules = rules_of(where, body.rules),
    }, Source)
    for _, key in ipairs { "owner", "rationale" } do
      if type(body[key]) ~= "string" or not body[key]:find "%S" then problem("%s has no %s", where, key) end
    end
    check_rules(made)
    return made
  end)
end

return freeze("source", source)
