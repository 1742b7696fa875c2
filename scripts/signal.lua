--- What is known of a lead: features of a signal set, and how conditions on them go together.
local freeze = require "frozen"
local numbers = require "numbers"
local signal_load = require "signal_load"
local tree = require "tree"
local value = require "value"

local signal = { all = value.all, any = value.any, none = value.none }

--- The features of a signal set, "name@version": each field is a feature's handle. A misspelt one stops `check`.
---@param ref string "b2b@4"
---@return table<string, Value>
function signal.features(ref)
  local name, version = tostring(ref):match "^([%w_]+)@(%d+)$"
  if not name then error('signal.features takes "set@version", such as "b2b@4"', 2) end
  local set = tree.signals
  if set and set.name ~= name then
    tree.problem(nil, "a policy reads one signal set; '%s' is already in use", set.name)
  elseif not set then
    set = signal_load.set(name)
    tree.signals, tree.signals_unknown = set, not set
  end
  if set and set.name == name and set.version and set.version ~= tonumber(version) then
    tree.problem(
      nil,
      "signal set '%s' is at version %s; this policy was written for %s: see what changed, then write \"%s@%s\"",
      name,
      tostring(set.version),
      version,
      name,
      tostring(set.version)
    )
  end
  return setmetatable({}, {
    __index = function(_, key)
      local feature = set and set.by_name[key]
      if feature then
        return value.make {
          kind = "feature",
          name = key,
          label = key,
          index = feature.index,
          op = feature.op,
          max_age = feature.max_age,
          is_text = feature.is_text,
          is_duration = feature.is_duration,
        }
      end
      if set then
        tree.problem(nil, "no feature '%s' in %s%s", tostring(key), ref, tree.hint(key, set.names))
      end
      return value.unknown()
    end,
    __newindex = function() error("no modification allowed: features", 2) end,
    __metatable = false,
  })
end

--- The lesser of two values, the greater of them: signal.least(2 * f.visits, 20). Not known while one is not.
---@param a Value|number
---@param b Value|number
---@return Value
function signal.least(a, b) return value.pick("least", a, b) end
---@param a Value|number
---@param b Value|number
---@return Value
function signal.most(a, b) return value.pick("most", a, b) end

--- A value kept within two numbers: signal.clamp(f.cart_value / 10, 0, 30).
---@param x Value
---@param low number
---@param high number
---@return Value
function signal.clamp(x, low, high)
  if not numbers.is_finite(low) or not numbers.is_finite(high) then error("signal.clamp(value, low, high) takes two numbers", 2) end
  if low > high then
    tree.problem(nil, "signal.clamp: the first bound, %s, is above the second, %s", numbers.show(low), numbers.show(high))
    return value.unknown()
  end
  return value.pick("most", value.pick("least", x, high), low)
end

-- The age that is asked for: of the call, or of the declaration. nil: reported.
local function asked_age(node, age)
  local ms = numbers.duration_ms(age == nil and node.max_age or age)
  if age == nil and not node.max_age then
    tree.problem(nil, "signal.fresh: '%s' has no max_age: say how old it may be: signal.fresh(f.%s, \"1d\")", node.name, node.name)
  elseif not ms or ms < 1000 then
    tree.problem(nil, "signal.fresh takes a duration of at least a second, such as \"1d\" (units w d h m s)")
  elseif age and numbers.duration_ms(node.max_age) and ms > numbers.duration_ms(node.max_age) then
    tree.warn(tree.place(), "signal.fresh: '%s' may be %s old here, and its max_age is %s", node.name, age, node.max_age)
    return ms
  else
    return ms
  end
end

--- True when the feature's latest match, by event time, is no older than `age`; false when there never was one.
---@param feature Value|string f.usage_7d, or its name
---@param age? string "1d"; default: the declaration's max_age
---@return Condition
function signal.fresh(feature, age)
  local node = value.open(feature)
  if type(feature) == "string" then
    local known = tree.signals and tree.signals.by_name[feature]
    if tree.signals and not known then
      tree.problem(nil, "signal.fresh: no feature '%s' in %s%s", feature, tree.signals.name, tree.hint(feature, tree.signals.names))
    end
    node = known and { kind = "feature", class = "value", name = feature, label = feature, index = known.index, max_age = known.max_age }
      or { kind = "unknown" }
  end
  if not node or (node.kind ~= "feature" and node.kind ~= "unknown") then
    error('signal.fresh takes a feature and a duration: signal.fresh(f.usage_7d, "1d")', 2)
  end
  local bound = node.kind == "feature" and asked_age(node, age)
  if not bound then return value.unknown_condition() end
  local shown = numbers.show_duration(bound)
  local of = { kind = "age", class = "value", feature = node, bound = bound, is_duration = true, label = "age of " .. node.name }
  return value.make_condition {
    kind = "compare",
    op = "at_most",
    value = of,
    bound = bound,
    label = ("%s is no older than %s"):format(node.name, shown),
  }
end

--- The hatch: Lua that runs for each event, for what the combinators can't say. `view.NAME` are the features listed in
--- reads. The function may not assign to anything outside itself; true counts as 1, false and nil as 0.
---@param name string
---@param about {reads: Value[], why: string}
---@param run fun(view: table): number|boolean
---@return Value
function signal.custom(name, about, run)
  local place = tree.place()
  if type(name) ~= "string" or type(about) ~= "table" or type(run) ~= "function" then
    error('custom("name", { reads = { … }, why = "…" }, function(view) … end)', 2)
  end
  for key in pairs(about) do
    if key ~= "reads" and key ~= "why" then
      tree.problem(place, "custom '%s': no key '%s'%s", name, tostring(key), tree.hint(key, { "reads", "why" }))
    end
  end
  if type(about.why) ~= "string" or about.why == "" then
    tree.problem(place, "custom '%s' has no why: a rule says what it is for", name)
  end
  local reads, reported = {}, false
  for _, handle in ipairs(type(about.reads) == "table" and not value.open(about.reads) and about.reads or {}) do
    local node = value.open(handle)
    if node and node.kind == "feature" then
      reads[#reads + 1] = node
    else
      if not node or node.kind ~= "unknown" then
        tree.problem(place, "custom '%s': reads is a list of features", name)
      end
      reported = true
    end
  end
  if #reads == 0 and not reported then tree.problem(place, "custom '%s' must list in reads what it looks at", name) end
  local pure, impure = host.pure(run)
  if not pure then tree.problem(place, "custom '%s' keeps state between calls: %s", name, tostring(impure)) end
  for _, other in ipairs(tree.customs) do
    if other.name == name then tree.problem(place, "custom '%s' is declared twice", name) end
  end
  local custom = {
    kind = "custom",
    name = name,
    label = name,
    why = about.why,
    run = run,
    reads = reads,
    number = #tree.customs + 1,
  }
  tree.customs[custom.number] = custom
  return value.make(custom)
end

return freeze("signal", signal)
