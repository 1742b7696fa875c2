-- Two languages: `policy` is what a policy may name, the same list as the sandbox's (a spec holds them together);
-- `library` is that and what the host gives to scripts/.
local function fields(...)
  local out = {}
  for _, name in ipairs { ... } do
    out[name] = {}
  end
  return { fields = out }
end

local function policy_names()
  return {
    assert = {},
    error = {},
    ipairs = {},
    pairs = {},
    pcall = {},
    require = {},
    select = {},
    tonumber = {},
    tostring = {},
    type = {},
    unpack = {},
    bit = fields("arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift", "tobit", "tohex"),
    math = fields(
      "abs",
      "ceil",
      "exp",
      "floor",
      "fmod",
      "huge",
      "log",
      "log10",
      "max",
      "min",
      "modf",
      "pi",
      "pow",
      "sqrt",
      "tanh"
    ),
    string = fields(
      "byte",
      "char",
      "find",
      "format",
      "gmatch",
      "gsub",
      "len",
      "lower",
      "match",
      "rep",
      "reverse",
      "sub",
      "upper"
    ),
    table = fields("concat", "insert", "remove", "sort"),
  }
end

local library = policy_names()
library.host = fields("compiles", "exp2", "freeze", "hash64", "here", "pure", "round_even", "suggest", "zone")
for _, name in ipairs { "setmetatable", "getmetatable", "rawget", "rawset", "rawequal" } do
  library[name] = {}
end

stds.policy = { read_globals = policy_names() }
stds.library = { read_globals = library }

max_line_length = 150
cache = false
files["policies"] = { std = "policy" }
-- What a spec of lives may say without asking for it (scripts/cli/life.lua).
files["policies/**/*_spec.lua"] = {
  std = "policy",
  read_globals = { "describe", "it", "pending", "before_each", "lead", "fixture" },
}
files["scripts"] = { std = "library" }
exclude_files = { "scripts/cli/meta/*.lua" } -- definitions for editors, made by scripts/cli/meta.lua
files["scripts/cli/meta.lua"] = { std = "luajit" } -- runs by itself
files["examples/simulator"] = { std = "library" }
files["tests/functional"] = { max_line_length = 170 }
files["tests/spec"] = { std = "luajit+busted" }
-- Messages and policies as they are, one a line.
for _, name in ipairs { "check_spec", "compile_spec", "support/sample" } do
  files["tests/spec/" .. name .. ".lua"] = { max_line_length = false }
end
files[".luacheckrc"] = { std = "luajit", globals = { "stds", "files", "max_line_length", "cache", "exclude_files" } }
