--- Makes modules that their users cannot change: reading works, writing and misspelling raise at the user's line.

local function freeze(name, content)
  local keys = {}
  for key in pairs(content) do
    keys[#keys + 1] = key
  end
  return setmetatable({}, {
    __index = function(_, key)
      local found = content[key]
      if found ~= nil then return found end
      local near = type(key) == "string" and host.suggest(key, keys)
      error(("%s has no '%s'%s"):format(name, tostring(key), near and ("; did you mean '" .. near .. "'?") or ""), 2)
    end,
    __newindex = function() error(("no modification allowed: %s"):format(name), 2) end,
    __metatable = false,
  })
end

return freeze
