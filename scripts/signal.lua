--- What is known of a lead: features of a signal set, and how conditions on them go together.
local freeze = require "frozen"
local tree = require "tree"
local value = require "value"

local signal = { all = value.all, any = value.any, none = value.none }

local DURATIONS = { recency = true, gap = true }

-- first and last keep a text when told so, or when they take a part of one.
local function is_text(declaration)
  return (declaration.op == "first" or declaration.op == "last")
    and (declaration.text == true or declaration.part ~= nil)
end

local function load_set(name)
  for _, set in ipairs(tree.input.sets or { name }) do
    if set == name then
      local ok, head = pcall(require, "signals." .. name .. ".signals")
      if not ok then error(head, 0) end
      return head, require("signals." .. name .. ".features")
    end
  end
  return nil
end

local function read_set(name, head, declarations)
  local set = {
    name = name,
    version = head.version,
    personal = head.personal or {},
    declarations = declarations,
    events = head.events,
    by_name = {},
    names = {},
  }
  for index, declaration in ipairs(declarations) do
    local feature = declaration.name
    if set.by_name[feature] then
      tree.problem(
        { path = "policies/signals/" .. name .. "/features.lua", line = 0 },
        "feature '%s' is declared twice",
        feature
      )
    end
    set.names[index] = feature
    set.by_name[feature] = {
      index = index - 1,
      op = declaration.op,
      is_text = is_text(declaration),
      is_duration = DURATIONS[declaration.op] or false,
    }
  end
  return set
end

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
    local head, declarations = load_set(name)
    if head then
      set = read_set(name, head, declarations)
      tree.signals = set
    else
      tree.problem(nil, "no signal set '%s'%s", name, tree.hint(name, tree.input.sets))
      tree.signals_unknown = true
    end
  end
  if set and set.name == name and set.version ~= tonumber(version) then
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
          is_text = feature.is_text,
          is_duration = feature.is_duration,
        }
      end
      if set then
        tree.problem(nil, "no feature '%s' in %s@%d%s", tostring(key), name, set.version, tree.hint(key, set.names))
      end
      return value.unknown()
    end,
    __newindex = function() error("no modification allowed: features", 2) end,
    __metatable = false,
  })
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
  local reads = {}
  for _, handle in ipairs(type(about.reads) == "table" and not value.open(about.reads) and about.reads or {}) do
    local node = value.open(handle)
    if node and node.kind == "feature" then
      reads[#reads + 1] = node
    elseif not node or node.kind ~= "unknown" then
      tree.problem(place, "custom '%s': reads is a list of features", name)
    end
  end
  if #reads == 0 then tree.problem(place, "custom '%s' must list in reads what it looks at", name) end
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
