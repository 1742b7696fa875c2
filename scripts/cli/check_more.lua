--- What `intent check` says beyond what loading finds: things that let a policy decide, and make it hard to review. Asked
--- with the policy's texts.
local outline = require "outline"

local tree = outline.tree
local findings

local function warn(place, text, ...)
  findings[#findings + 1] = { path = place.path, line = place.line, text = select("#", ...) > 0 and text:format(...) or text }
end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

-- ---- rules made by loops ----

-- A rule whose name is not written where it is declared was made by a loop or by a function.
local function is_written(entry, texts)
  local line = texts[entry.path] and texts[entry.path][entry.line]
  if not line then return true end
  return line:find('"' .. entry.name .. '"', 1, true) ~= nil or line:find("'" .. entry.name .. "'", 1, true) ~= nil
end

local function check_loops(texts)
  local made, order = {}, {}
  for _, entry in ipairs(tree.pending) do
    if not is_written(entry, texts) then
      local place = ("%s:%d:%s"):format(entry.path, entry.line, entry.kind)
      if not made[place] then
        made[place] = { first = entry, count = 0 }
        order[#order + 1] = made[place]
      end
      made[place].count = made[place].count + 1
    end
  end
  for _, group in ipairs(order) do
    local entry, others = group.first, group.count - 1
    warn(entry, "%s '%s'%s made by a loop or a function: its name stands in no line, so a diff does not show what changed; "
      .. "write rules out", entry.kind, entry.name,
      others > 0 and (" and %d more are"):format(others) or " is")
  end
end

-- ---- reasons ----

local PLACEHOLDER = { todo = true, tbd = true, fixme = true, xxx = true, why = true, because = true, reason = true, none = true,
  test = true, ["n a"] = true, foo = true }

-- Words alone, without signs.
local function plain(text)
  text = text:lower():gsub("\226\128[\128-\191]", " ") -- … – “ and their kin
  return (text:gsub("[^%w\128-\255]+", " "):gsub("^ +", ""):gsub(" +$", ""))
end

local function says_nothing(text, name)
  local words = plain(text)
  return words == "" or PLACEHOLDER[words] or words == plain(name)
end

local function check_reasons()
  for _, rule in ipairs(outline.rules()) do
    if rule.entry ~= tree.policy and type(rule.why) == "string" and says_nothing(rule.why, rule.name) then
      warn(rule, "%s '%s': its why (\"%s\") gives no reason", rule.kind, rule.title, rule.why)
    end
  end
  for _, key in ipairs { "rationale", "boundary", "owner" } do
    local text = tree.policy[key]
    if type(text) == "string" and says_nothing(text, tree.policy.name) then
      warn(tree.policy, "policy '%s': its %s (\"%s\") says nothing", tree.policy.name, key, text)
    end
  end
  if tree.signals and not (type(tree.signals.rationale) == "string" and tree.signals.rationale:find "%S") then
    warn({ path = ("policies/signals/%s/signals.lua"):format(tree.signals.name), line = 0 }, "signal set '%s' has no rationale",
      tree.signals.name)
  end
end

--- ask {texts = {path = text}} -> {findings = {{path, line, text}…}}.
return function(input)
  outline.load(input)
  findings = {}
  local texts = {}
  for path, text in pairs(input.ask.texts) do
    texts[path] = lines_of(text)
  end
  check_loops(texts)
  check_reasons()
  return { findings = findings }
end
