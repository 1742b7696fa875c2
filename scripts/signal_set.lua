--- The folders of a signal set: policies/signals/SET/features/*.lua and its like (schemas/, sources/), read in one way.
--- The build's input names the files (`files`, core/policy/artifact.h), since policy text can't list a folder; so a
--- build with another entry than "build" reads them with the same lines:
---
---     for _, file in ipairs(signal_set.files("b2b", "sources")) do … require(file.module) … end
---     signal_set.each("b2b", "schemas", "schemas", function(schema, file) … end)
local freeze = require "frozen"
local tree = require "tree"

local signal_set = {}

--- The Lua files of a folder of a set, in byte order of their names (which is how `files` is sorted):
--- {{name = "email", module = "signals.b2b.features.email", path = "policies/signals/b2b/features/email.lua"}…}.
--- None when there is no such folder. What lies in a folder inside it is reported: it would be read by nothing.
---@param set string
---@param folder string "features", "schemas", "sources"
function signal_set.files(set, folder)
  local prefix, files = ("policies/signals/%s/%s/"):format(set, folder), {}
  for _, path in ipairs(tree.input.files or {}) do
    local name = path:sub(1, #prefix) == prefix and path:sub(#prefix + 1):match "^(.*)%.lua$"
    if name and name:find("/", 1, true) then
      tree.problem({ path = path, line = 0 }, "nothing reads it: the files of %s/ lie in it, not in folders of it", folder)
    elseif name then
      files[#files + 1] = { name = name, path = path, module = ("signals.%s.%s.%s"):format(set, folder, name) }
    end
  end
  return files
end

-- 1..n and nothing else.
local function is_list(x)
  if type(x) ~= "table" then return false end
  local keys, members = 0, 0
  for _ in pairs(x) do
    keys = keys + 1
  end
  for _ in ipairs(x) do
    members = members + 1
  end
  return keys == members
end

--- What the files of a folder return, each a list, one behind the other: the files in byte order of their names, the
--- order in a file kept. `visit(member, file)` is called for each. False, and problems, when a file gives no list;
--- what a file's text raises goes through.
---@param set string
---@param folder string
---@param what string what the lists hold, for people: "features"
---@param visit fun(member: any, file: table)
---@return boolean
function signal_set.each(set, folder, what, visit)
  local is_good = true
  for _, file in ipairs(signal_set.files(set, folder)) do
    local list = require(file.module)
    if is_list(list) then
      for _, member in ipairs(list) do
        visit(member, file)
      end
    else
      tree.problem({ path = file.path, line = 0 }, "it must return a list of %s: return { { … }, { … } }", what)
      is_good = false
    end
  end
  return is_good
end

return freeze("signal_set", signal_set)
