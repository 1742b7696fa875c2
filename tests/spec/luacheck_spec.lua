--- luacheck's idea of a policy's names is the sandbox's.
local sandbox = require "sandbox"

local function config()
  local env = setmetatable({ stds = {}, files = {} }, { __index = _G })
  local chunk = assert(loadfile ".luacheckrc")
  setfenv(chunk, env)
  chunk()
  return env
end

describe(".luacheckrc", function()
  it("allows a policy the names of the sandbox, and no others", function()
    local allowed = {}
    for name, entry in pairs(config().stds.policy.read_globals) do
      for field in pairs(entry.fields or {}) do
        allowed[#allowed + 1] = name .. "." .. field
      end
      if not entry.fields then allowed[#allowed + 1] = name end
    end
    local names = sandbox.names()
    table.sort(allowed)
    table.sort(names)
    assert.is_true(#names > 30)
    assert.are.same(names, allowed)
  end)
end)
