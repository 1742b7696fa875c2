--- Running the tool `intent` as a person would: what it printed, its exit code, what it said on standard error.
local harness = require "harness"

local intent = {}

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

--- run({ "test", "policies/b2b_saas" }, standard input, { env = "A=1", cwd = "…" })
function intent.run(words, input, options)
  local folder, line = harness.folder(), { quote((os.getenv "INTENTD_BIN" or harness.bin) .. "/intent") }
  for _, word in ipairs(words) do line[#line + 1] = quote(word) end
  harness.write(folder .. "/in", input or "")
  local command = table.concat(line, " ")
  if options and options.env then command = options.env .. " " .. command end
  if options and options.cwd then command = ("cd %s && %s"):format(quote(options.cwd), command) end
  local pipe = io.popen(("(%s) <%s/in >%s/out 2>%s/err; echo $?"):format(command, folder, folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code, harness.read(folder .. "/err")
end

--- What it printed and what it said, as one text, and its exit code: said("model", "list").
function intent.said(...)
  local words = { quote(harness.bin .. "/intent") }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  local pipe = io.popen(table.concat(words, " ") .. " 2>&1; echo \"=$?\"")
  local text = pipe:read "*a"
  pipe:close()
  return text:match "^(.*)=%d+\n$", tonumber(text:match "=(%d+)\n$")
end

--- A text says all of these.
function intent.holds(text, ...)
  for _, wanted in ipairs { ... } do
    if not text:find(wanted, 1, true) then error(('this does not say "%s":\n%s'):format(wanted, text), 2) end
  end
end

function intent.has(text, part)
  if not text:find(part, 1, true) then error(("no %q in:\n%s"):format(part, text), 2) end
end

function intent.lacks(text, part)
  if text:find(part, 1, true) then error(("%q in:\n%s"):format(part, text), 2) end
end

return intent
