-- The demo: what intentd does, on a running daemon, with what it shows checked. ./dev demo runs it; --data FILE takes the bank's log.
local root = arg[0]:match "^(.*)/examples/demo/demo.lua$" or "."
package.path = root .. "/examples/demo/?.lua;" .. package.path
local daemon = require "daemon"

local data
for i = 1, #arg do
  if arg[i] == "--data" then data = arg[i + 1] or error("--data needs a file", 0) end
  data = arg[i]:match "^%-%-data=(.+)" or data
end
local story = require(data and "bank" or "buyers")

local folder = daemon.capture("mktemp", "-d"):gsub("%s+$", "")
local show = {}

function show.head(number, title, note)
  io.write(("\n%d  %-40s%s\n"):format(number, title, note or ""))
  io.flush()
end
function show.line(...)
  io.write("   ", string.format(...), "\n")
  io.flush()
end
function show.must(holds, what)
  if not holds then error("this does not hold: " .. what, 0) end
end
function show.bar(label, count, most)
  show.line("%-14s %5d %s", label, count, ("#"):rep(math.floor(count / math.max(most, 1) * 40 + 0.5)))
end

local stage = { root = root, folder = folder, data = data, show = show }
local ok, why = xpcall(story, function(message)
  return type(message) == "string" and message or debug.traceback(tostring(message))
end, stage)
if stage.daemon then pcall(stage.daemon.stop, stage.daemon) end
if ok then
  daemon.capture("rm", "-rf", folder)
else
  io.stderr:write("\ndemo: ", why, "\nEverything is kept in ", folder, "\n")
  os.exit(1)
end
