--- The definitions for editors (scripts/cli/meta/) are the library's: every public name is there, and no other.
local sandbox = require "sandbox"

local chunk = assert(loadfile "scripts/cli/meta.lua")
local meta = setfenv(chunk, setmetatable({ arg = false }, { __index = _G }))()
local made = meta.files(".", meta.words ".")
local files = {} -- as they lie there
for name in pairs(made) do
  files[name] = sandbox.read(("scripts/cli/meta/%s.lua"):format(name)) or ""
end

-- The library with modules that show what is in them.
local function library()
  local modules = sandbox.modules(".", "b2b_saas", { ["scripts/frozen.lua"] = "return function(_, content) return content end" })
  for _, name in ipairs { "life", "explain", "outline" } do
    local path = ("scripts/cli/%s.lua"):format(name)
    modules[name] = { path = path, text = sandbox.read(path), is_library = true }
  end
  return sandbox.loader(modules)
end

local function names_of(t)
  local names = {}
  for name in pairs(t) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- The value of a function's upvalue, looked for in those of its own upvalues too.
local function upvalue(fn, name, depth)
  for i = 1, 60 do
    local found, member = debug.getupvalue(fn, i)
    if not found then break end
    if found == name then return member end
  end
  for i = 1, depth and 60 or 0 do
    local found, member = debug.getupvalue(fn, i)
    if not found then return nil end
    if type(member) == "table" and rawget(member, "__index") and type(member.__index) == "function" then member = member.__index end
    local inner = type(member) == "function" and member ~= fn and upvalue(member, name)
    if inner then return inner end
  end
end

local function defined(text, pattern)
  local seen = {}
  for name in text:gmatch(pattern) do
    assert.is_nil(seen[name], "twice: " .. name)
    seen[name] = true
  end
  return names_of(seen)
end

describe("the definitions for editors", function()
  local load = library()

  it("are those that scripts/cli/meta.lua makes of the library (else run it: luajit scripts/cli/meta.lua)", function()
    for name, text in pairs(files) do
      assert.is_truthy(loadstring(text, name))
      for line in made[name]:gmatch "[^\n]+" do -- what is declared; its notes may be older
        if line:find "^function " or line:find " = nil$" then assert.is_truthy(text:find(line, 1, true), name .. ": " .. line) end
      end
    end
    local count = 0
    for _, name in ipairs(sandbox.listing "scripts/cli/meta") do
      count = count + 1
      assert.is_truthy(files[name:match "^(.*)%.lua$"], name)
    end
    assert.are.equal(#names_of(files), count)
  end)

  for _, module in ipairs(meta.modules) do
    it("have every public name of " .. module, function()
      local real = load(module)
      if type(real) == "function" then
        assert.is_truthy(files[module]:find("local " .. module .. " = ", 1, true) or files[module]:find("local function " .. module, 1, true))
        return
      end
      local names = defined(files[module], "\n[function ]*" .. module .. "%.([%w_]+)[%( ]")
      assert.are.same(names_of(real), names)
    end)
  end

  it("have every method of a value", function()
    local handle = load("value").make { kind = "number", number = 1, label = "1" }
    local methods = upvalue(debug.getmetatable(handle).__index, "methods")
    assert.are.same(names_of(methods), defined(files.value, "\nfunction Value:([%w_]+)%("))
  end)

  it("have every word and every verb of a spec", function()
    local words = { load("life").words() }
    assert.are.equal(6, #words)
    assert.are.same({ "before_each", "describe", "fixture", "it", "lead", "pending" }, defined(files.spec_words, "\nfunction ([%l_]+)%("))
    local verbs = upvalue(words[5], "Lead", true)
    assert.are.same(names_of(verbs), defined(files.spec_words, "\nfunction Lead:([%l_]+)%("))
  end)

  it("are where policies/.luarc.json says", function()
    local text = sandbox.read "policies/.luarc.json"
    assert.is_truthy(text:find('"../scripts/cli/meta"', 1, true))
    local names = {}
    for _, path in ipairs(sandbox.names()) do
      names[path:match "^[%w_]+"] = true
    end
    for builtin in text:gmatch '"([%l.]+)": "disable"' do
      assert.is_nil(names[builtin], builtin .. " is a policy's to use")
    end
  end)
end)
