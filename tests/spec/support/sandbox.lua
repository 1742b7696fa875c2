--- A stand-in for core/lua under plain LuaJIT, so that the library is testable with busted alone: a module loader with
--- the sandbox's names only, the `host` table, and the compiled chunk's arrays. Whatever differs from core/lua is a
--- defect of this file.
local ffi = require "ffi"

local sandbox = {}

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end
sandbox.read = read

local function listing(directory)
  local names = {}
  local pipe = io.popen(("ls -1 '%s' 2>/dev/null"):format(directory))
  for line in pipe:lines() do
    names[#names + 1] = line
  end
  pipe:close()
  return names
end
sandbox.listing = listing

-- ---- host ----

local function distance(a, b) -- edits; a swap of neighbours is one
  local rows = { [0] = {} }
  for j = 0, #b do
    rows[0][j] = j
  end
  for i = 1, #a do
    rows[i] = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, rows[i - 2][j - 2] + 1)
      end
      rows[i][j] = best
    end
  end
  return rows[#a][#b]
end

local function suggest(word, list)
  local best, least = nil, nil
  for _, name in ipairs(list) do
    local edits = distance(word:lower(), name:lower())
    if edits <= math.max(1, math.floor(#word / 3)) and (not least or edits < least) then
      best, least = name, edits
    end
  end
  return best
end

-- Whether there is such a time zone, and if not, one that comes near.
local zones
local function zone(name)
  if not zones then
    zones = {}
    for known in assert(read "core/base/zone_table.h"):match("zone_names%[%] = (%b{})"):gmatch '{"([^"]+)"' do
      zones[#zones + 1], zones[known] = known, true
    end
  end
  if zones[name] then return true end
  return false, suggest(name, zones)
end

local function here(library)
  return function()
    for level = 2, 60 do
      local info = debug.getinfo(level, "Sl")
      if not info then return nil end
      local path = info.source:sub(2)
      if
        info.what ~= "C"
        and info.source:sub(1, 1) == "@"
        and info.currentline > 0
        and path:find "^policies/"
        and not library[path]
      then
        return path, info.currentline
      end
    end
  end
end

-- No assignment to an upvalue or a global, read from the bytecode as core/lua does.
local function pure(fn)
  local ok, bc = pcall(require, "jit.bc")
  if not ok then return true end
  local lines = {}
  bc.dump(
    fn,
    { write = function(_, text) lines[#lines + 1] = text end, flush = function() end, close = function() end }
  )
  local text = table.concat(lines)
  if text:find "%sUSET[VSNP]%s" or text:find "%sGSET%s" then
    local info = debug.getinfo(fn, "S")
    return nil, ("%s:%d: assigns to something outside the function"):format(info.short_src, info.linedefined)
  end
  return true
end

local function round_even(x) return (x + 6755399441055744) - 6755399441055744 end

-- What the chunk gets; `vm` has I and texts (from 0).
local function chunk_host(vm)
  return {
    round_even = round_even,
    floor = math.floor,
    exp2 = function(x) return 2 ^ x end,
    tick = function() end,
    text = function(i) return vm.texts[i] ~= "" and vm.texts[i] or nil end,
    view = function(numbers, texts)
      return setmetatable({}, {
        __index = function(_, key)
          if numbers[key] then return vm.I[numbers[key]] end
          if texts[key] then return vm.texts[texts[key]] ~= "" and vm.texts[texts[key]] or nil end
          error(("view has no '%s'"):format(tostring(key)), 2)
        end,
        __newindex = function() error("no modification allowed: view", 2) end,
      })
    end,
  }
end

-- ---- modules ----

--- What a policy may name, from the sandbox's own list: {"assert", "math.floor", …}.
function sandbox.names()
  local list = assert(read "core/lua/library.c"):match "names%[%] = {(.-)};"
  local names = {}
  for name in list:gmatch '"([%w_.]+)"' do
    names[#names + 1] = name
  end
  return names
end

local LIBRARY_ONLY = { "setmetatable", "getmetatable", "rawget", "rawset", "rawequal" }

local function policy_names()
  local out = {}
  for _, path in ipairs(sandbox.names()) do
    local group, name = path:match "^(%w+)%.(%w+)$"
    if group then
      out[group] = out[group] or {}
      out[group][name] = (group == "bit" and require "bit" or _G[group])[name]
    else
      out[path] = _G[path]
    end
  end
  return out
end

-- `pairs` as the sandbox has it: numbers in order, then texts by bytes; other keys are refused.
local function ordered_pairs(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= "number" and type(key) ~= "string" then error("pairs: a key is a " .. type(key), 2) end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  local at = 0
  return function()
    at = at + 1
    return keys[at], t[keys[at]]
  end
end

local function environment(is_library, host, load)
  local env = policy_names()
  env.pairs, env.require = ordered_pairs, load
  if is_library then
    for _, name in ipairs(LIBRARY_ONLY) do
      env[name] = _G[name]
    end
    env.host = host
  end
  return setmetatable({}, {
    __index = function(_, key)
      if env[key] == nil then error(("unknown name %s"):format(key), 2) end
      return env[key]
    end,
    __newindex = function(_, key) error(("assignment to the global %s"):format(key), 2) end,
  })
end

--- modules: name -> {path, text, is_library}. Returns the sandbox's `require`.
function sandbox.loader(modules)
  local library, loaded = {}, {}
  for _, module in pairs(modules) do
    if module.is_library then library[module.path] = true end
  end
  local host = {
    here = here(library),
    pure = pure,
    suggest = suggest,
    zone = zone,
    freeze = function(t) return t end,
    compiles = function(source, name)
      local chunk, why = loadstring(source, name)
      return chunk ~= nil or nil, why
    end,
  }
  local function load(name)
    if loaded[name] ~= nil then return loaded[name] end
    local module = modules[name]
    if not module then error(("require: there is no module %s"):format(tostring(name)), 2) end
    if module.path:find "%.csv$" then
      loaded[name] = module.text
    else
      local chunk, why = loadstring(module.text, "@" .. module.path)
      if not chunk then error(why, 0) end
      setfenv(chunk, environment(module.is_library, host, load))
      local result = chunk()
      loaded[name] = result == nil and true or result
    end
    return loaded[name]
  end
  return load
end

--- All modules for one policy under `root`: the library, the policy's files, every signal set. `texts` (path -> text)
--- replaces or adds files.
function sandbox.modules(root, policy, texts)
  local modules, data, sets, files = {}, {}, {}, {}
  local function add(name, path, is_library)
    local text = texts and texts[path]
    if text == nil then text = read(root .. "/" .. path) end
    if text then modules[name] = { path = path, text = text, is_library = is_library } end
    return text ~= nil
  end
  local function list(directory)
    local names, seen = {}, {}
    local function note(name)
      if not seen[name] then
        seen[name], names[#names + 1] = true, name
      end
    end
    for _, name in ipairs(listing(root .. "/" .. directory)) do
      note(name)
    end
    for path in pairs(texts or {}) do
      if path:sub(1, #directory + 1) == directory .. "/" then note((path:sub(#directory + 2):gsub("/.*$", ""))) end
    end
    table.sort(names)
    return names
  end
  for _, name in ipairs(list "scripts") do
    if name:find "%.lua$" then add(name:sub(1, -5), "scripts/" .. name, true) end
  end
  for _, name in ipairs(list("policies/" .. policy)) do
    if name:find "%.lua$" then add(policy .. "." .. name:sub(1, -5), ("policies/%s/%s"):format(policy, name)) end
  end
  for _, name in ipairs(list(("policies/%s/data"):format(policy))) do
    if name:find "%.csv$" then
      data[#data + 1] = name:sub(1, -5)
      add(("%s.data.%s"):format(policy, name:sub(1, -5)), ("policies/%s/data/%s"):format(policy, name))
    end
  end
  for _, set in ipairs(list "policies/signals") do
    sets[#sets + 1] = set
    local folder = "policies/signals/" .. set
    local inside = { "signals.lua", "features.lua" }
    for _, part in ipairs { "features", "schemas", "sources" } do
      for _, name in ipairs(list(folder .. "/" .. part)) do
        inside[#inside + 1] = part .. "/" .. name
      end
    end
    for _, file in ipairs(inside) do
      local path = folder .. "/" .. file
      if path:find "%.lua$" and not path:find "_spec%.lua$" and add((path:sub(10, -5):gsub("/", ".")), path) then
        files[#files + 1] = path
      end
    end
  end
  table.sort(files)
  return modules, { policy = policy, data = data, sets = sets, files = files }
end

--- Runs scripts/build.lua for a policy: the artifact, and the custom functions when it has any.
function sandbox.build(root, policy, texts)
  local modules, input = sandbox.modules(root, policy, texts)
  local artifact = sandbox.loader(modules)("build")(input)
  local custom
  if (artifact.custom or 0) > 0 then
    input.custom = true
    custom = sandbox.loader(modules)("build")(input).custom
  end
  return artifact, custom
end

-- ---- calls ----

--- Opens the chunk: {I, O, M, texts, plain, tracing, call(traced)}; O is NaN before every call, as the engine has it.
function sandbox.open(artifact, custom)
  local layout = artifact.layout
  local vm = { layout = layout, artifact = artifact, texts = {} }
  vm.I = ffi.new("double[?]", layout.input_count + 1)
  vm.O = ffi.new("double[?]", layout.output_count + 1)
  vm.M = ffi.new("double[?]", #artifact.memory + 1)
  for i, cell in ipairs(artifact.memory) do
    vm.M[i - 1] = cell.initial
  end
  local chunk = assert(loadstring(artifact.source, "=policy"))
  setfenv(chunk, {})
  vm.plain, vm.tracing = chunk(vm.I, vm.O, vm.M, custom or {}, chunk_host(vm))
  function vm.call(traced)
    for i = 0, layout.output_count - 1 do
      vm.O[i] = 0 / 0
    end
    if traced then
      vm.tracing()
    else
      vm.plain()
    end
  end
  return vm
end

return sandbox
