--- A fresh daemon for a test: its own process, free ports, data in a temporary folder. What a test starts is ended by
--- its process id, and what it wrote is removed, also when the test fails: every spec calls
--- `after_each(harness.finish)`.
---
---   local daemon = harness.start { shards = 2, ["net.stall"] = "200ms" }
---   local client = daemon:connect()
---   client:must("event.ingest", harness.event { userId = "u1" })
---
--- `finish` stops each daemon that still runs and asserts that it ended well: exit status 0 and no level=error line in
--- its log. A test that provokes errors says so: `daemon:expect_errors("reload_failed")`.
local ffi = require "ffi"
local lfs = require "lfs"
local socket = require "socket"

local wire = require "wire"

ffi.cdef [[
typedef int pid_t;
pid_t fork(void);
int execv(const char *path, char *const argv[]);
pid_t waitpid(pid_t pid, int *status, int options);
int kill(pid_t pid, int signal);
void _exit(int status);
int open(const char *path, int flags, ...);
int dup2(int from, int to);
int close_range(unsigned first, unsigned last, int flags);
int prctl(int option, unsigned long argument, ...);
int setenv(const char *name, const char *value, int overwrite);
char *mkdtemp(char *template);
]]
local C = ffi.C
local SIGHUP, SIGKILL, SIGTERM = 1, 9, 15
local WNOHANG = 1
local O_WRONLY_CREAT_APPEND = 0x1 + 0x40 + 0x400
local PR_SET_PDEATHSIG = 1
local PATIENCE_S = 60

local harness = {
  root = os.getenv "INTENTD_ROOT" or lfs.currentdir(),
  bin = os.getenv "INTENTD_BIN" or "build/release/bin",
  SEED = ("5eed"):rep(16), -- ids of a new directory, the same in every run
  NIL = wire.NIL,
}

local daemons, folders = {}, {} -- of the running test

-- ---- files ----

function harness.folder()
  local template = ffi.new("char[?]", 64, (os.getenv "TMPDIR" or "/tmp") .. "/intentd.XXXXXX")
  assert(C.mkdtemp(template) ~= nil, "no temporary folder")
  local path = ffi.string(template)
  folders[#folders + 1] = path
  return path
end

function harness.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- Writes as an editor does: a new file takes the place of the old one.
function harness.write(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  file:write(text)
  file:close()
  assert(os.rename(path .. ".new", path))
end

--- Replaces the first `from` (plain text) in a file. One that is not there is a mistake of the test.
function harness.edit(path, from, to)
  local text = assert(harness.read(path), path)
  local first, last = text:find(from, 1, true)
  assert(first, path .. " has no: " .. from)
  harness.write(path, text:sub(1, first - 1) .. to .. text:sub(last + 1))
end

function harness.copy(from, to)
  if lfs.attributes(from, "mode") ~= "directory" then
    harness.write(to, assert(harness.read(from), from))
    return
  end
  assert(lfs.mkdir(to))
  for name in lfs.dir(from) do
    if name ~= "." and name ~= ".." then harness.copy(from .. "/" .. name, to .. "/" .. name) end
  end
end

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

--- The shipped policies, copied to be changed. `changes`: {path = text} written over them.
function harness.policies(changes)
  local path = harness.folder() .. "/policies"
  harness.copy(harness.root .. "/policies", path)
  for name, text in pairs(changes or {}) do
    local folder = path
    for part in name:gmatch "([^/]+)/" do
      folder = folder .. "/" .. part
      lfs.mkdir(folder)
    end
    harness.write(path .. "/" .. name, text)
  end
  return path
end

--- Waits for something that must come true; what for (a text, or a function that makes one) is said when it does not.
function harness.wait(what, holds)
  local deadline = socket.gettime() + PATIENCE_S
  while true do
    local value = holds()
    if value then return value end
    if socket.gettime() > deadline then
      error("waited in vain for " .. (type(what) == "function" and what() or what), 2)
    end
    socket.sleep(0.01)
  end
end

-- ---- the process ----

local Daemon = {}
Daemon.__index = Daemon

local function spawn(program, arguments, log, env)
  local argv = ffi.new("char *[?]", #arguments + 2)
  local kept = { program, unpack(arguments) }
  for i, text in ipairs(kept) do
    argv[i - 1] = ffi.cast("char *", text)
  end
  argv[#kept] = nil
  local pid = C.fork()
  assert(pid >= 0, "fork failed")
  if pid > 0 then return pid end
  for name, value in pairs(env) do
    C.setenv(name, value, 1)
  end
  C.prctl(PR_SET_PDEATHSIG, ffi.cast("unsigned long", SIGKILL)) -- it does not outlive the tests, however they end
  local fd = C.open(log, O_WRONLY_CREAT_APPEND, ffi.cast("int", 420))
  C.dup2(fd, 1)
  C.dup2(fd, 2)
  C.close_range(3, 0xffffffff, 0)
  C.execv(program, argv)
  C._exit(127)
end

local BUILT_IN = {
  listen = "127.0.0.1:0",
  http = "127.0.0.1:0",
  forward = "127.0.0.1:0",
  shards = 2,
  ["journal.segment"] = "8m",
  ["state.map"] = "256m",
}

local function flags_of(self)
  local options = {}
  for name, value in pairs(BUILT_IN) do
    options[name] = value
  end
  options.data, options.ports_file = self.data, self.folder .. "/ports.json"
  options.policies = harness.root .. "/policies"
  for name, value in pairs(self.options) do
    options[name] = value
  end
  local names = {}
  for name, value in pairs(options) do
    if value ~= false then names[#names + 1] = name end
  end
  table.sort(names)
  local flags = {}
  for _, name in ipairs(names) do
    flags[#flags + 1] = "--" .. name
    flags[#flags + 1] = tostring(options[name])
  end
  for _, flag in ipairs(self.flags) do
    flags[#flags + 1] = flag
  end
  return flags
end

--- Starts the process on what data there is, and does not wait; `ready` does. `options` go over those it had.
function Daemon:launch(options)
  for name, value in pairs(options or {}) do
    if name == "env" then
      self.env = value
    else
      self.options[name] = value
    end
  end
  os.remove(self.folder .. "/ports.json")
  self.is_over, self.status, self.ports = false, nil, nil
  self.pid = spawn(harness.bin .. "/intentd", flags_of(self), self.log_path, self.env)
end

--- Reaps the process: its exit status, or minus the signal that ended it. With `block` it waits (bounded).
function Daemon:wait_exit(block)
  local status = ffi.new "int[1]"
  local function reaped()
    if self.status then return true end
    if C.waitpid(self.pid, status, WNOHANG) ~= self.pid then return false end
    local raw = status[0]
    local signal = raw % 128
    self.status = signal == 0 and math.floor(raw / 256) % 256 or -signal
    return true
  end
  if block then
    harness.wait(function() return "the daemon's end; its log:\n" .. self:log() end, reaped)
  else
    reaped()
  end
  return self.status
end

function Daemon:ready()
  harness.wait(function() return "the daemon to start; its log:\n" .. self:log() end, function()
    if self:wait_exit() then error("the daemon did not start; its log:\n" .. self:log(), 0) end
    local text = harness.read(self.folder .. "/ports.json")
    if not text then return false end
    self.ports = {
      listen = tonumber(text:match '"listen": (%d+)'),
      http = tonumber(text:match '"http": (%d+)'),
      forward = tonumber(text:match '"forward": (%d+)'),
    }
    return true
  end)
end

local function new(options)
  local self = setmetatable({ options = {}, flags = {}, env = {}, clients = {}, expected = {} }, Daemon)
  for name, value in pairs(options or {}) do
    if name == "flags" or name == "folder" or name == "env" then
      self[name] = value
    else
      self.options[name] = value
    end
  end
  self.folder = self.folder or harness.folder()
  self.data = self.options.data or self.folder .. "/data"
  self.log_path = self.folder .. "/log"
  daemons[#daemons + 1] = self
  return self
end

--- A daemon that is not started yet: `launch` it.
function harness.new(options)
  local self = new(options)
  self.is_over = true
  return self
end

--- Starts a daemon and waits until it is ready. Options are the daemon's own (false: leave a default of the harness
--- out); `flags`: words for the end of its command line; `folder`: to share with another one; `env`: its environment
--- ({NAME = value}), which a `restart` may change.
function harness.start(options)
  local self = new(options)
  self:launch()
  self:ready()
  return self
end

--- Starts a daemon that must not come up: its exit status and what it said.
function harness.start_fails(options)
  local self = new(options)
  self:launch()
  local status = self:wait_exit(true)
  return status, self:log(), self
end

function Daemon:connect(port)
  local client = wire.tcp(port or self.ports.listen)
  self.clients[#self.clients + 1] = client
  return client
end

--- Administration, over the Unix socket.
function Daemon:admin()
  local client = wire.unix(self.data .. "/intentd.sock")
  self.clients[#self.clients + 1] = client
  return client
end

function Daemon:log() return harness.read(self.log_path) or "" end

--- The daemon's memory in bytes.
function Daemon:resident()
  return tonumber(harness.read("/proc/" .. self.pid .. "/status"):match "VmRSS:%s+(%d+) kB") * 1024
end

--- A page over HTTP: its body and its status.
function Daemon:get(path)
  local sock = assert(socket.connect("127.0.0.1", self.ports.http))
  sock:settimeout(PATIENCE_S)
  sock:send("GET " .. path .. " HTTP/1.0\r\nHost: localhost\r\n\r\n")
  local text = assert(sock:receive "*a")
  sock:close()
  return text:match "\r\n\r\n(.*)$", tonumber(text:match "^HTTP/%d%.%d (%d+)")
end

--- A metric's value: the sum over its samples whose labels hold `label` (plain text).
function Daemon:metric(name, label)
  local sum
  for line in self:get("/metrics"):gmatch "[^\n]+" do
    local labels, value = line:match("^" .. name .. "(%b{}) (%S+)$")
    if not labels then
      labels, value = "", line:match("^" .. name .. " (%S+)$")
    end
    if value and (not label or labels:find(label, 1, true)) then sum = (sum or 0) + tonumber(value) end
  end
  return assert(sum, "no metric " .. name)
end

--- Lines of level=error that hold this text are what the test wants to see.
function Daemon:expect_errors(text) self.expected[#self.expected + 1] = text end

local function unexpected_errors(self)
  local lines = {}
  for line in self:log():gmatch "[^\n]+" do
    local wanted = not (
      line:find(" level=error ", 1, true)
      or line:find("Sanitizer", 1, true)
      or line:find("runtime error", 1, true)
    )
    for _, text in ipairs(self.expected) do
      wanted = wanted or line:find(text, 1, true) ~= nil
    end
    if not wanted then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

function Daemon:signal(number) assert(C.kill(self.pid, number) == 0) end
function Daemon:hup() self:signal(SIGHUP) end

local function close_clients(self)
  for _, client in ipairs(self.clients) do
    client:close()
  end
  self.clients = {}
end

--- Ends it as an operator does, and holds that it ended well.
function Daemon:stop()
  if not self:wait_exit() then self:signal(SIGTERM) end
  local status = self:wait_exit(true)
  close_clients(self)
  self.is_over = true
  if status ~= 0 then error(("the daemon ended with %d; its log:\n%s"):format(status, self:log()), 2) end
  local errors = unexpected_errors(self)
  if errors ~= "" then error("errors in the daemon's log:\n" .. errors, 2) end
end

--- Ends it as a crash does: nothing is written any more.
function Daemon:kill()
  assert(not self:wait_exit(), "the daemon is gone already; its log:\n" .. self:log())
  self:signal(SIGKILL)
  assert(self:wait_exit(true) == -SIGKILL)
  close_clients(self)
  self.is_over = true
end

--- Starts it again on the same data, after stop or kill.
function Daemon:restart(options)
  assert(self.is_over, "stop or kill it first")
  self:launch(options)
  self:ready()
end

--- Ends whatever the test left running, asserts that it ended well, and removes what was written.
function harness.finish()
  local problems = {}
  for _, daemon in ipairs(daemons) do
    if not daemon.is_over and daemon.ports then
      local ok, why = pcall(daemon.stop, daemon)
      if not ok then problems[#problems + 1] = tostring(why) end
    end
    if daemon.pid and not daemon:wait_exit() then
      C.kill(daemon.pid, SIGKILL)
      daemon:wait_exit(true)
    end
  end
  if #problems > 0 and os.getenv "KEEP" then
    print("kept: " .. table.concat(folders, " "))
  else
    for _, folder in ipairs(folders) do
      remove(folder)
    end
  end
  daemons, folders = {}, {}
  if #problems > 0 then error(table.concat(problems, "\n"), 0) end
end

-- ---- events ----

--- An event with what every event needs; `keys` over it. A key that is false is left out.
function harness.event(keys)
  local event = { type = "track", event = "Pricing Viewed", userId = "u1", channel = "web" }
  for key, value in pairs(keys or {}) do
    event[key] = value
  end
  for key, value in pairs(event) do
    if value == false then event[key] = nil end
  end
  return event
end

--- A generator of numbers, the same for the same seed: next(n) is 1..n.
function harness.random(seed)
  local state = seed % 2147483647
  if state == 0 then state = 1 end
  return function(n)
    state = state * 48271 % 2147483647
    return 1 + state % n
  end
end

return harness
