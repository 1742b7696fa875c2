--- Definition files for editors (LuaLS), made from the library's own annotations: `luajit scripts/cli/meta.lua` writes
--- scripts/cli/meta/*.lua anew. Run outside of the sandbox, from the repository's root. tests/spec/meta_spec.lua holds the files to the
--- library: every public name has a definition, and there are no others.
local meta = {}

--- What a policy or a spec may ask for by `require`.
meta.modules = { "policy", "signal", "belief", "score", "journey", "memory", "route", "action" }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- Comment blocks ("---" lines) each with the line that follows it; those in front of nothing are left out.
local function blocks(text)
  local out, comment = {}, {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line:find "^%s*%-%-%-" then
      comment[#comment + 1] = line:match "^%s*(.*)$"
    else
      if line:find "%S" then out[#out + 1] = { comment = comment, line = line } end
      comment = {}
    end
  end
  return out
end

local function type_of(comment)
  for _, line in ipairs(comment) do
    local found = line:match "^%-%-%-@type (.*)$"
    if found then return found end
  end
end

local function params_of(comment)
  local names = {}
  for _, line in ipairs(comment) do
    names[#names + 1] = line:match "^%-%-%-@param ([%w_]+)"
  end
  return names
end

local function add(lines, comment)
  for _, line in ipairs(comment) do
    if not line:find "^%-%-%-@type " then lines[#lines + 1] = line end
  end
end

-- One public name of a module: a function with its parameters, or a field with its type.
local function add_member(lines, module, name, comment, is_function)
  add(lines, comment)
  local kind = type_of(comment)
  if kind or not (is_function or #params_of(comment) > 0) then
    lines[#lines + 1] = "---@type " .. (kind or "any")
    lines[#lines + 1] = ("%s.%s = nil"):format(module, name)
  else
    lines[#lines + 1] = ("function %s.%s(%s) end"):format(module, name, table.concat(params_of(comment), ", "))
  end
  lines[#lines + 1] = ""
end

-- A module whose value is a table: every `NAME.x = …` and `function NAME.x(…)` at the margin that is annotated.
local function of_table(module, text)
  local lines, known = { "---@meta " .. module, "" }, {}
  lines[#lines + 1] = ("local %s = {}"):format(module)
  lines[#lines + 1] = ""
  for _, block in ipairs(blocks(text)) do
    local name = block.line:match("^function " .. module .. "%.([%w_]+)%(")
    local is_function = name ~= nil
    for field in not name and (block.line:match("^(" .. module .. "%.[^=]*)=[^=]") or ""):gmatch(module .. "%.([%w_]+)") or function() end do
      if not known[field] then
        known[field] = true
        add_member(lines, module, field, block.comment, false)
      end
    end
    if name and not known[name] then
      known[name] = true
      add_member(lines, module, name, block.comment, is_function)
    end
  end
  lines[#lines + 1] = "return " .. module
  return lines
end

-- signal.all, any and none are the value library's.
local COMBINERS = [[
--- Holds when every one does.
---@param list (Condition|Value)[]
---@return Condition
function signal.all(list) end

--- Holds when at least one does.
---@param list (Condition|Value)[]
---@return Condition
function signal.any(list) end

--- Holds when not one of them does.
---@param list (Condition|Value)[]
---@return Condition
function signal.none(list) end
]]

-- scripts/policy.lua returns a function, and its classes stand in front of it.
local function of_policy(text)
  local lines = { "---@meta policy", "" }
  for _, block in ipairs(blocks(text)) do
    if block.line:find "^return declare%.named" then
      add(lines, block.comment)
      lines[#lines + 1] = "local function policy(name) end"
    end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "return policy"
  return lines
end

local VALUE = [[
---@meta

--- Holds or not, for each lead: put together with signal.all, any and none.
---@class Condition

--- A number or text that is known of a lead: a feature, belief.intent, score.fit, or arithmetic on them.
---@class Value
---@operator add(Value|number): Value
---@operator sub(Value|number): Value
---@operator mul(Value|number): Value
---@operator div(number): Value
---@operator unm: Value
local Value = {}
]]

-- The methods of a value, from the table `methods` of scripts/value.lua.
local function of_values(text)
  local lines = { VALUE }
  for _, block in ipairs(blocks(text)) do
    local field = block.line:match "^  ([%l_]+) = comparison%("
    local method = block.line:match "^function methods%.([%l_]+)%("
    if field then
      lines[#lines + 1] = "---@param bound number|string\n---@return Condition"
      lines[#lines + 1] = ("function Value:%s(bound) end\n"):format(field)
    elseif method then
      add(lines, block.comment)
      lines[#lines + 1] = ("function Value:%s(%s) end\n"):format(method, table.concat(params_of(block.comment), ", "))
    end
  end
  return lines
end

-- Classes that modules annotate outside of a function: ---@class blocks.
local function classes_of(text)
  local lines, inside = {}, false
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line:find "^%-%-%-@class " then inside = true end
    if inside and line:find "^%-%-%-@[cf][li]" then
      lines[#lines + 1] = line
    elseif inside then
      inside = false
      lines[#lines + 1] = ""
    end
  end
  return lines
end

-- The words of specs that are lives: the verbs of a lead, and those that stand by themselves.
local WORDS = [[
---@meta

---@param name string
---@param run fun()
function describe(name, run) end

--- Without a function it is pending.
---@param name string
---@param run? fun()
function it(name, run) end

---@param name string
function pending(name) end

---@param run fun()
function before_each(run) end

---@param about? {userId?: string, anonymousId?: string, at?: string, channel?: string, hold_out?: boolean}
---@return Lead
function lead(about) end

--- A lead that has done what a file of events beside the spec says.
---@param file string
---@return Lead
function fixture(file) end

---@class Lead
local Lead = {}
]]

local function of_lives(text, words)
  local lines, known = { WORDS }, {}
  local function method(name, comment, params)
    if known[name] then return end
    known[name] = true
    add(lines, comment)
    lines[#lines + 1] = ("---@return Lead\nfunction Lead:%s(%s) end\n"):format(name, params)
  end
  for _, block in ipairs(blocks(text)) do
    local name, params = block.line:match "^function Lead:([%l_]+)%(([^)]*)%)"
    if name then method(name, block.comment, params) end
    for field in not name and (block.line:match "^(Lead%.[^=]*)=" or ""):gmatch "Lead%.([%l_]+)" or function() end do
      method(field, block.comment, "wanted")
    end
  end
  for _, key in ipairs { "combined", "fit", "engagement", "intent" } do
    method("expect_" .. key, { "--- Points: a number to a tenth, or { at_least = 40, at_most = 50 }." }, "wanted")
  end
  for _, word in ipairs(words) do
    method("expect_" .. word, {}, "wanted")
  end
  return lines
end

--- All files: {name = text}. `root`: the repository's; `words`: those of `expect` in specs of tables.
function meta.files(root, words)
  local out, classes = {}, {}
  for _, module in ipairs(meta.modules) do
    local text = read(("%s/scripts/%s.lua"):format(root, module))
    local lines = module == "policy" and of_policy(text) or of_table(module, text)
    if module == "signal" then
      table.insert(lines, #lines, COMBINERS)
    end
    out[module] = table.concat(lines, "\n") .. "\n"
    for _, line in ipairs(classes_of(text)) do
      classes[#classes + 1] = line
    end
  end
  for _, line in ipairs(classes_of(read(root .. "/scripts/sales.lua"))) do
    classes[#classes + 1] = line
  end
  local values = of_values(read(root .. "/scripts/value.lua"))
  for _, line in ipairs(classes) do
    values[#values + 1] = line
  end
  out.value = (table.concat(values, "\n") .. "\n"):gsub("\n\n\n+", "\n\n")
  out.spec_words = table.concat(of_lives(read(root .. "/scripts/cli/life.lua"), words), "\n") .. "\n"
  return out
end

--- EXPECT_KEYS of scripts/spec.lua.
function meta.words(root)
  local list, words = read(root .. "/scripts/spec.lua"):match "\nlocal EXPECT_KEYS = (%b{})", {}
  for word in list:gmatch '"([%l_]+)"' do
    words[#words + 1] = word
  end
  return words
end

if arg and arg[0] and arg[0]:find "meta%.lua$" then
  for name, text in pairs(meta.files(".", meta.words ".")) do
    local file = assert(io.open(("scripts/cli/meta/%s.lua"):format(name), "wb"))
    file:write(text)
    file:close()
  end
end

return meta
