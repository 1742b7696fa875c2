--- Runs sources: payloads in, events out, by what scripts/source.lua declared. The entry of a state that stays open
--- (core/policy/sources.h), the same for HTTP, `intent import` and specs. Pure: the same payload gives the same events.
local numbers = require "numbers"
local source = require "source"
local source_text = require "source_text"
local times = require "times"
local tree = require "tree"

local REASON_MAX, WHO_MAX_BYTES = 300, 4096
local CUSTOM_DEPTH, CUSTOM_VALUES = 12, 10000
local ID_FIELDS = { "userId", "anonymousId", "groupId", "previousId" }
local TEXT_FIELDS = { "event", "name", "channel", "schema" }
local MAP_FIELDS = { "properties", "traits", "context" }

-- A payload that can't be used: the reason, without anything that the payload says.
local function refuse(text, ...) error({ refusal = text:format(...) }, 0) end

-- ---- reading a payload ----

local function walk(value, path)
  if #path == 0 then return value end
  if type(value) ~= "table" then return nil end
  local whole = value[path.text] -- a key that itself has dots
  if whole ~= nil then return whole end
  for _, part in ipairs(path) do
    if type(value) ~= "table" then return nil end
    local found = value[part.key]
    if found == nil and part.number then found = value[part.number] end
    value = found
  end
  return value
end

local function digits(x)
  if x == math.floor(x) and x > -1e15 and x < 1e15 then return ("%d"):format(x) end
  return numbers.show(x)
end

-- A text or a number as text; nil for nothing; what else it is refuses the payload.
local function text_of(value, node)
  local kind = type(value)
  if value == nil or kind == "string" then return value end
  if kind == "number" then return digits(value) end
  refuse("%s is %s, not a text", source_text.value(node), kind == "table" and "a list or an object" or "true or false")
end

-- In one go from either end: "^%s*(.-)%s*$" takes time by the square of a long run of spaces.
local function trimmed(value, node)
  local text = text_of(value, node)
  local first = text and text:find "%S"
  return first and text:match("^.*%S", first) or nil
end

-- Is there nothing to read? A text of spaces is as good as none.
local function is_blank(value) return value == nil or (type(value) == "string" and not value:find "%S") end

-- "1.234,50" with mark "," and group "."; nil when it is no number.
local function number_of(text, mark, group)
  local sign, whole, rest = text:match "^([+-]?)([%d.,' ]+)(.*)$"
  if not whole then return nil end
  local at = whole:find(mark, 1, true)
  local fraction = at and whole:sub(at + 1) or ""
  whole = at and whole:sub(1, at - 1) or whole
  if fraction:find "%D" or (rest ~= "" and not rest:find "^[eE][+-]?%d+$") then return nil end
  if whole:find "%D" then
    local separator = whole:match "%D"
    local grouped = "^%d%d?%d?" .. ("%" .. separator .. "%d%d%d"):rep(math.floor(#whole / 4)) .. "$"
    if separator ~= group and separator ~= " " and separator ~= "'" or not whole:find(grouped) then return nil end
    whole = whole:gsub("%D", "")
  end
  if whole == "" and fraction == "" then return nil end
  local number = tonumber(sign .. (whole == "" and "0" or whole) .. "." .. (fraction == "" and "0" or fraction) .. rest)
  return numbers.is_finite(number) and number or nil
end

local function as_number(value, node, comma)
  if type(value) == "number" then return value end
  local text = trimmed(value, node)
  if not text then return nil end
  local number = number_of(text, comma and "," or ".", comma and "." or ",")
  if not number then refuse("%s is no number", source_text.value(node)) end
  return number
end

local function name_part(text, part)
  local last, first = text:match "^([^,]*%S)%s*,%s*(%S.*)$"
  if not last then
    first, last = text:match "^(.*%S)%s+(%S+)$"
  end
  if not first then return part == "first" and text or nil end
  return part == "first" and first or last
end

-- What a custom function gave must be data: it leaves this state.
local function check_plain(value, node, depth, count)
  local kind = type(value)
  count.left = count.left - 1
  if depth > CUSTOM_DEPTH or count.left < 0 then refuse("custom '%s' gives more than an event can hold", node.name) end
  if kind == "function" or kind == "userdata" or kind == "thread" then
    refuse("custom '%s' gives a %s, which is no data", node.name, kind)
  end
  if kind ~= "table" then return end
  for key, member in pairs(value) do
    if type(key) ~= "string" and type(key) ~= "number" then refuse("custom '%s' gives a key that is no text", node.name) end
    check_plain(member, node, depth + 1, count)
  end
end

-- ---- combinators as functions of a context {item, payload} ----

local value_of, condition_of

local function list_of(nodes)
  local list = {}
  for i, node in ipairs(nodes) do list[i] = value_of(node) end
  return list
end

local VALUES = {}

function VALUES.pick(node)
  return function(context) return walk(context.item, node.path) end
end
function VALUES.whole(node)
  return function(context) return walk(context.payload, node.path) end
end
function VALUES.const(node)
  return function() return node.value end
end
function VALUES.first(node)
  local list = list_of(node.list)
  return function(context)
    for _, get in ipairs(list) do
      local value = get(context)
      if not is_blank(value) then return value end
    end
  end
end
-- A combinator of one value: what it makes of that.
local function unary(compute)
  return function(node)
    local get = value_of(node.of)
    return function(context) return compute(get(context), node) end
  end
end

VALUES.text = unary(function(value, node) return trimmed(value, node.of) end)
VALUES.lower = unary(function(value, node)
  local text = trimmed(value, node.of)
  return text and text:lower()
end)
VALUES.domain = unary(function(value, node)
  local text = trimmed(value, node.of)
  local domain = text and text:match "@([^@%s]+)$"
  return domain and domain:lower()
end)
VALUES.number = unary(function(value, node) return as_number(value, node.of, node.comma) end)
VALUES.divide = unary(function(value, node)
  local number = as_number(value, node.of, false)
  return number and number / node.by
end)
VALUES.time = unary(function(value, node)
  local text = trimmed(value, node.of)
  if not text then return nil end
  local time_ms = times.parse(text, node.format, node.zone_ms)
  if not time_ms then refuse("%s is no time of the form %s", source_text.value(node.of), node.format) end
  return time_ms
end)
VALUES.epoch = unary(function(value, node)
  local number = as_number(value, node.of, false)
  if not number then return nil end
  local time_ms = numbers.round_even(number * node.unit_ms)
  if time_ms < -62135596800000 or time_ms > 253402300799999 then
    refuse("%s lies outside of the years 1 to 9999; are these milliseconds, or seconds?", source_text.value(node.of))
  end
  return time_ms
end)
VALUES.name = unary(function(value, node)
  local text = trimmed(value, node.of)
  return text and name_part(text, node.part)
end)
VALUES.need = unary(function(value, node)
  if is_blank(value) then refuse("%s is missing", source_text.value(node.of)) end
  return value
end)

function VALUES.map(node)
  local get, to = value_of(node.of), {}
  for key, member in pairs(node.to) do to[key] = value_of(member) end
  local otherwise = node.otherwise and value_of(node.otherwise)
  return function(context)
    local value = get(context)
    local key = type(value) == "boolean" and tostring(value) or text_of(value, node.of)
    local member = key and to[key] or otherwise
    if key and member then return member(context) end
  end
end
function VALUES.join(node)
  local list = list_of(node.list)
  return function(context)
    local texts = {}
    for i, get in ipairs(list) do texts[#texts + 1] = trimmed(get(context), node.list[i]) end
    return #texts > 0 and table.concat(texts, node.between) or nil
  end
end
function VALUES.template(node)
  local parts = {}
  for i, part in ipairs(node.parts) do parts[i] = type(part) == "string" and part or value_of(part) end
  return function(context)
    local texts = {}
    for i, part in ipairs(parts) do
      local text = part
      if type(part) ~= "string" then
        text = trimmed(part(context), node.parts[i])
        if not text then return nil end
      end
      texts[i] = text
    end
    return table.concat(texts)
  end
end
function VALUES.given(node)
  local holds, get = condition_of(node.when), value_of(node.of)
  return function(context)
    if holds(context) then return get(context) end
  end
end
function VALUES.maybe(node)
  local get = value_of(node.of)
  return function(context)
    local ok, value = pcall(get, context)
    if ok then return value end
    if type(value) ~= "table" or not value.refusal then error(value, 0) end
  end
end
function VALUES.custom(node)
  return function(context)
    local ok, value = pcall(node.run, context.item)
    if not ok then refuse("custom '%s': %s", node.name, type(value) == "string" and value or "an error that is no text") end
    check_plain(value, node, 0, { left = CUSTOM_VALUES })
    return value
  end
end
function VALUES.record(node)
  local fields = {}
  for key, member in pairs(node.fields) do fields[key] = value_of(member) end
  return function(context)
    local out, is_empty = {}, true
    for key, get in pairs(fields) do
      local value = get(context)
      if value ~= nil then
        out[key], is_empty = value, false
      end
    end
    return not is_empty and out or nil
  end
end

value_of = function(node) return VALUES[node.op](node) end

local CONDITIONS = {}

function CONDITIONS.is(condition)
  local get, values = value_of(condition.of), {}
  for _, value in ipairs(condition.values) do values[value] = true end
  return function(context)
    local value = get(context)
    return value ~= nil and values[value] == true
  end
end
function CONDITIONS.has(condition)
  local get = value_of(condition.of)
  return function(context) return not is_blank(get(context)) end
end
function CONDITIONS.starts(condition)
  local get, prefix = value_of(condition.of), condition.prefix
  return function(context)
    local value = get(context)
    return type(value) == "string" and value:sub(1, #prefix) == prefix
  end
end

local function several(ends_at, otherwise)
  return function(condition)
    local list = {}
    for i, member in ipairs(condition.list) do list[i] = condition_of(member) end
    return function(context)
      for _, holds in ipairs(list) do
        if holds(context) == ends_at then return not otherwise end
      end
      return otherwise
    end
  end
end
CONDITIONS.all, CONDITIONS.any, CONDITIONS.none = several(false, true), several(true, false), several(true, true)

condition_of = function(condition) return CONDITIONS[condition.op](condition) end

-- ---- events ----

local function is_empty(value)
  local keys = 0
  for _ in pairs(value) do keys = keys + 1 end
  return keys == 0
end

-- Where an id is not there, the reason says where it was looked for.
local function check_who(template, event)
  if event.userId or event.anonymousId then return end
  local tried = {}
  for _, key in ipairs { "userId", "anonymousId" } do
    if template.nodes[key] then tried[#tried + 1] = ("%s (%s)"):format(key, source_text.value(template.nodes[key])) end
  end
  refuse("nothing stands where it should say who it is: %s", table.concat(tried, ", "))
end

local function put_texts(template, context, event)
  for _, key in ipairs(ID_FIELDS) do
    if template.get[key] then event[key] = trimmed(template.get[key](context), template.nodes[key]) end
  end
  for _, key in ipairs(TEXT_FIELDS) do
    if template.get[key] then event[key] = trimmed(template.get[key](context), template.nodes[key]) end
  end
end

local function put_maps(template, context, event, name)
  for _, key in ipairs(MAP_FIELDS) do
    local value = template.get[key] and template.get[key](context)
    if value ~= nil and (type(value) ~= "table" or value[1] ~= nil) then
      refuse("%s: %s is no object", key, source_text.value(template.nodes[key]))
    end
    if value ~= nil and not is_empty(value) then event[key] = value end
  end
  local with_source = { source = name }
  for key, value in pairs(event.context or {}) do with_source[key] = value end
  event.context = with_source
end

local function put_time(template, context, event)
  local value = template.get.timestamp and template.get.timestamp(context)
  if type(value) == "number" and value == math.floor(value) then
    event.timestamp = value + 0 -- no -0
  elseif type(value) == "string" and value:find "%S" then
    event.timestamp = value
  elseif not is_blank(value) then
    refuse("timestamp: %s is no time", source_text.value(template.nodes.timestamp))
  end
end

-- messageId: the payload's own id under the source's name, so that a retry is a duplicate; where the payload has none,
-- its digest.
local function put_message_id(template, context, event, name)
  local node = template.nodes.messageId
  local id = node and trimmed(template.get.messageId(context), node)
  event.messageId = ("%s-%s%s"):format(name, id or context.digest, template.suffix(context, id))
end

local function make_event(template, context, name)
  local event = { type = template.type }
  put_texts(template, context, event)
  check_who(template, event)
  if template.type == "track" and not event.event then
    refuse("the event has no name: %s is missing", source_text.value(template.nodes.event))
  end
  put_time(template, context, event)
  put_maps(template, context, event, name)
  put_message_id(template, context, event, name)
  return event
end

-- ---- sources, compiled ----

local function reads_item(node)
  if node.op == "pick" or node.op == "custom" then return true end
  for _, member in ipairs(node.list or node.parts or {}) do
    if type(member) == "table" and reads_item(member) then return true end
  end
  return node.of ~= nil and reads_item(node.of)
end

-- What tells the events of one payload apart: "-2" for the second event of a rule, and of `each` unless the id is the
-- element's own.
local function suffix_of(rule, node, number)
  local by_event = rule.events and #rule.events > 1 and "-" .. number or ""
  local own = node and reads_item(node)
  return function(context, id)
    if not context.number or (id and own) then return by_event end
    return "-" .. context.number .. by_event
  end
end

-- What a source says for all its rules is read from the payload as a whole, also where a rule goes through a list in it.
local function of_payload(get)
  return function(context) return get(context.top) end
end

local function template_of(made, rule, event, number)
  local template = { nodes = {}, get = {}, type = event.type or rule.fields.type or made.fields.type or "track" }
  for _, fields in ipairs { made.fields, rule.fields, event } do
    for key, node in pairs(fields) do
      if key ~= "type" then
        template.nodes[key] = node
        template.get[key] = fields == made.fields and of_payload(value_of(node)) or value_of(node)
      end
    end
  end
  local id = event.messageId or rule.fields.messageId
  template.suffix = suffix_of(rule, id, number)
  return template
end

local function compiled(made)
  local out = { name = made.name, rules = {}, looks_at = {}, get = {} }
  for _, key in ipairs(ID_FIELDS) do out.get[key] = made.fields[key] and value_of(made.fields[key]) end
  local seen = {}
  for i, rule in ipairs(made.rules) do
    local to = { name = rule.name, why = rule.why, is_skip = rule.is_skip, each = rule.each, templates = {} }
    to.holds = rule.when and condition_of(rule.when)
    for _, path in ipairs(rule.when and source_text.paths(rule.when) or {}) do
      if not seen[path] then out.looks_at[#out.looks_at + 1] = "'" .. path .. "'" end
      seen[path] = true
    end
    if not rule.is_skip then
      for n, event in ipairs(rule.events or { {} }) do to.templates[n] = template_of(made, rule, event, n) end
    end
    out.rules[i] = to
  end
  return out
end

-- ---- running ----

local function rule_for(compiled_source, context)
  for _, rule in ipairs(compiled_source.rules) do
    if not rule.holds or rule.holds(context) then return rule end
  end
  refuse("no rule is for it; the rules look at %s", table.concat(compiled_source.looks_at, ", "))
end

local WHO_KEYS = { "userId", "anonymousId", "previousId" }

local function add_who(out, id)
  if #id > WHO_MAX_BYTES or out.seen[id] then return end
  out.seen[id] = true
  out.who[#out.who + 1] = id
end

-- Whose a refused piece is, as far as it says. A lead that is forgotten takes the payload along, whichever of its pieces
-- names it: so they are gathered for the payload, those of its events too.
local function add_who_of(out, get, context)
  for _, key in ipairs(WHO_KEYS) do
    local ok, id
    if get[key] then
      ok, id = pcall(get[key], context)
    end
    local kind = ok and type(id)
    if kind == "number" then id = digits(id) end
    id = (kind == "string" or kind == "number") and id:match "^%s*(.*%S)"
    if id then add_who(out, id) end
  end
end

-- Why a piece was refused, from what was raised; anything but a refusal is the mapping's own mistake.
local function reason_of(raised)
  local text = type(raised) == "table" and raised.refusal or tostring(raised)
  return #text > REASON_MAX and text:sub(1, REASON_MAX) .. "…" or text
end

-- Every payload's first refusal is told, for it is kept by that; of others as many as a request may have events: a list of a
-- hundred thousand bad elements is told, not told out. `who` of the first is the payload's.
local function add_refused(out, rule, reason)
  local is_first = not out.is_refused
  if not is_first and out.more >= out.events_max - 1 then return end
  if not is_first then
    out.more = out.more + 1
    if out.more == out.events_max - 1 then reason = "more pieces are refused than an answer tells (net.batch)" end
  end
  out.refused[#out.refused + 1] = { out.index, rule, reason, is_first and out.who or {} }
  out.is_refused = true
end

local function run_item(made, rule, context, out)
  for _, template in ipairs(rule.templates) do
    local ok, event = pcall(make_event, template, context, made.name)
    if ok then
      if #out.events >= out.events_max then
        refuse("more than %d events from one request (net.batch)", out.events_max)
      end
      out.events[#out.events + 1] = { out.index, event }
      for _, key in ipairs(WHO_KEYS) do
        if event[key] then add_who(out, event[key]) end
      end
    else
      add_who_of(out, template.get, context)
      add_refused(out, rule.name, reason_of(event))
    end
  end
end

local function run_payload(made, payload, digest, out)
  if type(payload) ~= "table" then refuse "a payload is an object, or a list of them" end
  local context = { item = payload, payload = payload, digest = digest }
  context.top = context
  local rule = rule_for(made, context)
  if rule.is_skip then
    out.skipped[#out.skipped + 1] = { out.index, rule.name, rule.why }
    return
  end
  if not rule.each then
    run_item(made, rule, context, out)
    return
  end
  local list = walk(payload, rule.each)
  if type(list) ~= "table" or (list[1] == nil and not is_empty(list)) then
    refuse("rule '%s': each: '%s' is no list", rule.name, rule.each.text)
  end
  if #list == 0 then out.skipped[#out.skipped + 1] = { out.index, rule.name, "an empty list" } end
  for number, item in ipairs(list) do
    run_item(made, rule, { item = item, payload = payload, top = context, digest = digest, number = number }, out)
  end
end

local function begin_payload(out, i)
  out.index, out.who, out.seen, out.is_refused = i - 1, {}, {}, false
end

--- {source, payloads, digests (texts), faults (nil, or for each payload why it can't be read, or false), events_max} ->
--- {events = {{index, event}…}, refused = {{index, rule, text, who}…}, skipped = {{index, rule, why}…}}; index: the
--- payload's place, from 0. A refused piece leaves the others. `who`: of a payload's first refusal all identities in it.
local function run(sources, input)
  local made = sources[input.source]
  local out = { events = {}, refused = {}, skipped = {}, more = 0, events_max = input.events_max }
  for i, payload in ipairs(input.payloads) do
    begin_payload(out, i)
    local fault = input.faults and input.faults[i]
    local ok, raised = not fault, fault and { refusal = fault }
    if ok then
      ok, raised = pcall(run_payload, made, payload, input.digests[i], out)
    end
    if not ok then
      add_who_of(out, made.get, { item = payload, payload = payload })
      add_refused(out, "", reason_of(raised))
    end
  end
  return { events = out.events, refused = out.refused, skipped = out.skipped }
end

-- ---- loading ----

local function first_problem()
  for _, found in ipairs(tree.sorted_problems()) do
    if found.error then error(("%s:%d: %s"):format(found.path, found.line, found.text), 0) end
  end
end

local function add_customs(value, out)
  if type(value) ~= "table" then return end
  if value.op == "custom" then out[#out + 1] = value.run end
  for _, member in pairs(value) do add_customs(member, out) end
end

local function load_one(about)
  local made = require(about.module)
  if not source.is_source(made) then error(about.path .. ": it must return s.source \"name\" { … }", 0) end
  if about.name ~= made.name then
    error(("%s: the source calls itself '%s'; its file is '%s'"):format(about.path, made.name, about.name), 0)
  end
  return made
end

--- input {sources = {{name, module, path}…}} -> {call = function, custom = {functions}, about = {{name, sign}…}}.
return function(input)
  local sources, customs, about = {}, {}, {}
  for i, one in ipairs(input.sources) do
    local made = load_one(one)
    first_problem()
    sources[made.name] = compiled(made)
    add_customs(made, customs)
    about[i] = { name = made.name, sign = made.sign }
  end
  return { call = function(request) return run(sources, request) end, custom = customs, about = about }
end
