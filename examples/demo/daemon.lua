-- A daemon of the demo's own: started in a temporary folder on free ports, stopped by its process id. Plain LuaJIT and a shell.
local ffi = require "ffi"
ffi.cdef "int kill(int pid, int signal); int usleep(unsigned us);"

local daemon = {}
daemon.__index = daemon

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

--- Runs a command and returns all that it printed.
function daemon.capture(...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = quote(word) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1", "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

function daemon.read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

function daemon.write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

function daemon.sleep(seconds) ffi.C.usleep(seconds * 1e6) end

--- Calls `probe` until it gives something true; fails with `what` after `seconds`.
function daemon.wait(what, seconds, probe)
  for _ = 1, seconds * 50 do
    local found = probe()
    if found then return found end
    daemon.sleep(0.02)
  end
  error("waited " .. seconds .. " s for " .. what .. " in vain", 0)
end

--- Starts a command in the background; its output goes to `out`. Returns its process id.
function daemon.background(command, out)
  local pipe = assert(io.popen(command .. " >" .. quote(out) .. " 2>" .. quote(out .. ".err") .. " & echo $!", "r"))
  local pid = tonumber(pipe:read "*l")
  pipe:close()
  return pid
end

function daemon.alive(pid)
  if ffi.C.kill(pid, 0) ~= 0 then return false end
  local stat = daemon.read("/proc/" .. pid .. "/stat")
  if not stat then return false end
  if not stat:find "^%d+ %b() Z" then return true end
  -- A zombie has ended; but while its other threads are ending it is one already, and still holds its files.
  local pipe = assert(io.popen(("ls /proc/%d/task 2>/dev/null | wc -l"):format(pid)))
  local threads = tonumber(pipe:read "*l")
  pipe:close()
  return threads > 1
end

--- options: root, folder, policies, policy; bin (of the programs, default root/build/release/bin), more (of the command line)
function daemon.new(options)
  return setmetatable({ options = options, log = options.folder .. "/daemon.log", ports = options.folder .. "/ports.json" }, daemon)
end

function daemon:start()
  local o = self.options
  os.remove(self.ports)
  local command = ("%s --policies %s --scripts %s --policy %s --data %s --clock event --ports_file %s --listen 127.0.0.1:%d --http 127.0.0.1:%d %s")
    :format(quote((o.bin or o.root .. "/build/release/bin") .. "/intentd"), quote(o.policies), quote(o.root .. "/scripts"), o.policy,
      quote(o.folder .. "/data"), quote(self.ports), self.port or 0, self.http or 0, o.more or "")
  self.starts = (self.starts or 0) + 1
  self.log = ("%s/daemon-%d.log"):format(o.folder, self.starts)
  self.pid = daemon.background(command, self.log)
  local ports = daemon.wait("the daemon to listen", 60, function()
    if not daemon.alive(self.pid) then error("the daemon ended: " .. (daemon.read(self.log .. ".err") or ""), 0) end
    return daemon.read(self.ports)
  end)
  self.port, self.http = tonumber(ports:match '"listen": (%d+)'), tonumber(ports:match '"http": (%d+)')
  self.address = "127.0.0.1:" .. self.port
end

function daemon:signal(number) ffi.C.kill(self.pid, number) end

function daemon:stop(number)
  if not self.pid then return end
  self:signal(number or 15)
  local pid = self.pid
  self.pid = nil
  daemon.wait("the daemon to end", 60, function() return not daemon.alive(pid) end)
end

function daemon:said() return daemon.read(self.log .. ".err") or "" end

--- The command line of the tool, quoted, for this daemon.
function daemon:intent(...)
  local words = { quote(self.options.root .. "/build/release/bin/intent") }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  words[#words + 1] = "--to " .. self.address
  return table.concat(words, " ")
end

function daemon:run(...)
  local pipe = assert(io.popen(self:intent(...) .. " 2>&1", "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- One page of the HTTP port.
function daemon:page(path)
  local script = ("exec 3<>/dev/tcp/127.0.0.1/%d; printf 'GET %s HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"):format(self.http, path)
  return daemon.capture("bash", "-c", script)
end

return daemon
