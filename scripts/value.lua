--- What a policy's rules are made of: values (numbers known per lead: features, belief, scores, arithmetic on them)
--- and conditions (comparisons of values, and all, any, none of them). Policies hold opaque handles; the library opens
--- them to plain nodes:
---   value      {class = "value", kind = feature | intent | channels | fit | engagement | combined | number |
---              arith | least | most | default | custom | age | memory | unknown}
---   condition  {class = "condition", kind = compare | test | known | truth | gate | all | any | none | unknown}
--- "unknown" stands for something already reported, and is accepted everywhere, so that one mistake gives one problem.
local freeze = require "frozen"
local numbers = require "numbers"
local tree = require "tree"
local data = require "data"

local value = {}
local node_of = {} -- handle -> node
local value_meta, condition_meta = {}, {}

local function new(node, meta)
  local handle = setmetatable({}, meta)
  node_of[handle] = node
  return handle
end

local function place_in(node)
  local place = tree.place()
  node.path, node.line = place.path, place.line
  return node
end

--- A value's handle; `node` needs kind and label.
function value.make(node)
  node.class = "value"
  place_in(node)
  if node.kind == "feature" or node.kind == "memory" then tree.made[#tree.made + 1] = node end
  return new(node, value_meta)
end

--- A condition's handle; `node` needs kind and label.
function value.make_condition(node)
  node.class = "condition"
  tree.made[#tree.made + 1] = place_in(node)
  return new(node, condition_meta)
end

function value.unknown() return new({ class = "value", kind = "unknown", label = "?" }, value_meta) end
local UNKNOWN = { class = "condition", kind = "unknown", label = "?" }
local function unknown_condition() return new(UNKNOWN, condition_meta) end
value.unknown_condition = unknown_condition

--- The node behind a handle, or nil.
function value.open(handle) return type(handle) == "table" and node_of[handle] or nil end

--- What `x` is as a condition: its node, a value's truth (known and not 0), or nil when it is neither.
function value.as_condition(x)
  local node = value.open(x)
  if not node or node.class == "condition" then return node end
  if node.kind == "unknown" then return { class = "condition", kind = "unknown", label = "?" } end
  if node.options then
    tree.problem(nil, "'%s' is a choice: as a condition write :is(…) or :is_known()", node.name)
    return { class = "condition", kind = "unknown", label = "?" }
  end
  if node.is_text then
    tree.problem(nil, "'%s' is text: as a condition write :is(…), :in_list(…) or :is_known()", node.name)
    return { class = "condition", kind = "unknown", label = "?" }
  end
  -- A feature's handle is made where it is written, the others once.
  local place = node.kind == "feature" and node or tree.place()
  return { class = "condition", kind = "truth", value = node, label = node.label, path = place.path, line = place.line }
end

--- What `x` is as a number: its node, or nil.
function value.as_value(x)
  if numbers.is_finite(x) then return { class = "value", kind = "number", number = x, label = numbers.show(x) } end
  local node = value.open(x)
  if not node or node.class ~= "value" then return nil end
  if node.options then
    tree.problem(nil, "'%s' is a choice and can't be reckoned with", node.name)
    return { class = "value", kind = "unknown", label = "?" }
  end
  if node.is_text then
    tree.problem(nil, "'%s' is text and can't be reckoned with", node.name)
    return { class = "value", kind = "unknown", label = "?" }
  end
  return node
end

-- ---- comparisons ----

local function threshold(node, method, bound)
  if node.options then
    tree.problem(nil, "'%s' is a choice: :%s compares numbers; write :is(…)", node.name, method)
    return nil
  end
  if node.is_text then
    tree.problem(nil, "'%s' is text: :%s compares numbers; write :is(…) or :in_list(…)", node.name, method)
    return nil
  end
  if node.is_duration then
    local ms = numbers.duration_ms(bound)
    if not ms then
      tree.problem(nil, "'%s' is a duration: write :%s \"10d\" (units w d h m s ms)", node.label, method)
    end
    return ms, bound
  end
  if not numbers.is_finite(bound) then
    local what = type(bound) == "string" and ("the text '" .. bound .. "'") or "a " .. type(bound)
    tree.problem(nil, "'%s' is a number: :%s takes a number, not %s", node.label, method, what)
    return nil
  end
  return bound, numbers.show(bound)
end

-- The node that a method was called on.
local function called_on(handle, method)
  local node = value.open(handle)
  if node then return node end
  tree.problem(nil, "write a colon before %s: f.name:%s(…), not f.name.%s(…)", method, method, method)
  return UNKNOWN
end

local function comparison(method, words)
  return function(handle, bound)
    local node = called_on(handle, method)
    if node.kind == "unknown" then return unknown_condition() end
    local number, shown = threshold(node, method, bound)
    if not number then return unknown_condition() end
    return value.make_condition {
      kind = "compare",
      op = method,
      value = node,
      bound = number,
      label = ("%s %s %s"):format(node.label, words, shown),
    }
  end
end

---@class Value
local methods = {
  ---@type fun(self: Value, bound: number|string): Condition
  at_least = comparison("at_least", "at least"),
  ---@type fun(self: Value, bound: number|string): Condition
  above = comparison("above", "above"),
  ---@type fun(self: Value, bound: number|string): Condition
  at_most = comparison("at_most", "at most"),
  ---@type fun(self: Value, bound: number|string): Condition
  under = comparison("under", "under"),
}

--- Both ends are within.
---@param low number|string
---@param high number|string
---@return Condition
function methods.within(handle, low, high)
  local node = called_on(handle, "within")
  if node.kind == "unknown" then return unknown_condition() end
  local from, from_shown = threshold(node, "within", low)
  local to, to_shown = threshold(node, "within", high)
  if not from or not to then return unknown_condition() end
  if from > to then
    tree.problem(nil, "'%s' within %s to %s: the first must not be above the second", node.label, from_shown, to_shown)
    return unknown_condition()
  end
  return value.make_condition {
    kind = "compare",
    op = "within",
    value = node,
    bound = from,
    upper = to,
    label = ("%s within %s to %s"):format(node.label, from_shown, to_shown),
  }
end

--- Of a choice: it is this option.
function value.is_option(node, what)
  for i, option in ipairs(node.options) do
    if option == what then
      return value.make_condition {
        kind = "compare",
        op = "is",
        value = node,
        bound = i - 1,
        label = ("%s is %s"):format(node.name, what),
      }
    end
  end
  tree.problem(
    nil,
    "'%s' is one of %s, not '%s'%s",
    node.name,
    table.concat(node.options, ", "),
    tostring(what),
    tree.hint(what, node.options)
  )
  return unknown_condition()
end

---@param what number|string
---@return Condition
function methods.is(handle, what)
  local node = called_on(handle, "is")
  if node.kind == "unknown" then return unknown_condition() end
  if node.is_text then
    if type(what) ~= "string" or what == "" then
      tree.problem(
        nil,
        "'%s' is text: :is takes a text, not %s",
        node.name,
        type(what) == "string" and "an empty one" or "a " .. type(what)
      )
      return unknown_condition()
    end
    return value.make_condition { kind = "test", feature = node, any = { what }, label = node.name .. " is " .. what }
  end
  if node.options then return value.is_option(node, what) end
  local number, shown = threshold(node, "is", what)
  if not number then return unknown_condition() end
  return value.make_condition {
    kind = "compare",
    op = "is",
    value = node,
    bound = number,
    label = ("%s is %s"):format(node.label, shown),
  }
end

--- `name` is a csv file in the policy's data folder; its first column is the list, or the one that `column` names.
---@param name string
---@param column? string a header
---@return Condition
function methods.in_list(handle, name, column)
  local node = called_on(handle, "in_list")
  if node.kind == "unknown" then return unknown_condition() end
  if not node.is_text then
    tree.problem(nil, "'%s' is no text: :in_list looks for a text in a list", node.label)
    return unknown_condition()
  end
  local list = data.list(name, column)
  if not list then
    node.is_named = true -- reported where the list is broken
    return unknown_condition()
  end
  local label = ("%s in %s%s"):format(node.name, name, column and "." .. column or "")
  return value.make_condition { kind = "test", feature = node, any = list, label = label }
end

---@return Condition
function methods.is_known(handle)
  local node = called_on(handle, "is_known")
  if node.kind == "unknown" then return unknown_condition() end
  if node.is_text then
    return value.make_condition { kind = "test", feature = node, known = true, label = node.name .. " is known" }
  end
  return value.make_condition { kind = "known", value = node, label = node.label .. " is known" }
end

--- The value, or `number` while it is not known.
---@param number number
---@return Value
function methods.default(handle, number)
  local node = called_on(handle, "default")
  if node.kind == "unknown" then return value.unknown() end
  if node.is_text or node.options or not numbers.is_finite(number) then
    tree.problem(nil, "'%s': default gives a number for a number that is not known", node.label)
    return value.unknown()
  end
  return value.make {
    kind = "default",
    value = node,
    number = number,
    label = ("(%s or %s)"):format(node.label, numbers.show(number)),
  }
end

local method_names = {}
for name in pairs(methods) do
  method_names[#method_names + 1] = name
end

function value_meta.__index(handle, key)
  local method = methods[key]
  if method then return method end
  local node = node_of[handle]
  if node.kind ~= "unknown" then
    tree.problem(nil, "'%s' has no '%s'%s", node.label, tostring(key), tree.hint(key, method_names))
  end
  return unknown_condition
end

function condition_meta.__index(handle, key)
  if node_of[handle].kind ~= "unknown" then
    tree.problem(
      nil,
      "a condition has no '%s'; put conditions together with all { … }, any { … }, none { … }",
      tostring(key)
    )
  end
  return unknown_condition
end

-- ---- arithmetic, and what must not be written ----

local function arithmetic(op)
  return function(a, b)
    local left, right = value.as_value(a), value.as_value(b)
    if not left or not right then error(("'%s' needs numbers or features on both sides"):format(op), 2) end
    if left.kind == "unknown" or right.kind == "unknown" then return value.unknown() end
    if op == "/" and not (right.kind == "number" and right.number ~= 0) then
      tree.problem(nil, "divide by a number that is written out and not 0: what is not known yet can't divide")
      return value.unknown()
    end
    return value.make {
      kind = "arith",
      op = op,
      left = left,
      right = right,
      label = ("(%s %s %s)"):format(left.label, op, right.label),
    }
  end
end

--- The lesser or the greater of two values; not known while one of them is not. `kind`: "least" or "most".
function value.pick(kind, a, b)
  local left, right = value.as_value(a), value.as_value(b)
  if not left or not right then error(("signal.%s takes two numbers or features"):format(kind), 3) end
  if left.kind == "unknown" or right.kind == "unknown" then return value.unknown() end
  return value.make { kind = kind, left = left, right = right, label = ("%s of (%s, %s)"):format(kind, left.label, right.label) }
end

local function refused(text)
  return function() error(text, 2) end
end

value_meta.__add, value_meta.__sub = arithmetic "+", arithmetic "-"
value_meta.__mul, value_meta.__div = arithmetic "*", arithmetic "/"
value_meta.__unm = function(a) return -1 * a end
value_meta.__call = function(handle, ...)
  local node = node_of[handle]
  if not node.call then error(("'%s' is a value and can't be called"):format(node.label), 2) end
  return node.call(...)
end

local COMPARING = "write :at_least(…), :above(…), :at_most(…), :under(…) or :is(…): a policy is data, and "
  .. "Lua's own comparison would be made once, at load"
for _, meta in ipairs { value_meta, condition_meta } do
  meta.__eq, meta.__lt, meta.__le = refused(COMPARING), refused(COMPARING), refused(COMPARING)
  meta.__pow = refused "'^' is not allowed: its last bits differ between machines; multiply instead"
  meta.__mod = refused "'%' is not part of the language"
  meta.__concat = refused "a value of a lead is no text while the policy loads"
  meta.__newindex = refused "no modification allowed: values and conditions are made once"
  meta.__tostring = function(handle) return node_of[handle].label end
  meta.__metatable = false
end

-- ---- putting conditions together ----

local function combiner(kind, words)
  return function(list)
    if type(list) ~= "table" or value.open(list) then
      error(("%s takes a list: %s { …, … }"):format(kind, kind), 2)
    end
    local items, labels = {}, {}
    for key, member in pairs(list) do
      if type(key) ~= "number" then
        tree.problem(nil, "%s { … } takes conditions only, not a key '%s'", kind, tostring(key))
      else
        local node = value.as_condition(member)
        if not node then
          tree.problem(
            nil,
            "%s { … }: entry %d is a %s, not a condition%s",
            kind,
            key,
            type(member),
            type(member) == "boolean" and " (`not`, `==` and `and` are Lua's own: write none, :is, all)" or ""
          )
        else
          items[#items + 1], labels[#labels + 1] = node, node.label
        end
      end
    end
    if #items == 0 then
      tree.problem(nil, "%s { } is empty", kind)
      return unknown_condition()
    end
    local label = words .. " (" .. table.concat(labels, "; ") .. ")"
    return value.make_condition { kind = kind, items = items, label = label }
  end
end

value.all, value.any, value.none = combiner("all", "all of"), combiner("any", "any of"), combiner("none", "none of")

--- The node that holds when all of `items` (nodes) do; it stands where `place` does, and is no condition that a policy wrote.
function value.all_of(items, place)
  local labels = {}
  for i, item in ipairs(items) do
    labels[i] = item.label
  end
  local label = "all of (" .. table.concat(labels, "; ") .. ")"
  return { class = "condition", kind = "all", items = items, label = label, path = place.path, line = place.line }
end

--- Calls `visit` for a node and everything below it, top down.
function value.walk(node, visit)
  visit(node)
  for _, item in ipairs(node.items or {}) do
    value.walk(item, visit)
  end
  for _, item in ipairs(node.reads or {}) do
    value.walk(item, visit)
  end
  for _, key in ipairs { "value", "feature", "left", "right" } do
    if node[key] then value.walk(node[key], visit) end
  end
end

return freeze("value", value)
