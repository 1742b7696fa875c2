--- Given to every run of busted: where the specs' own modules lie, whatever the folder they are run from.
local root = os.getenv "INTENTD_ROOT" or "."
package.path = table.concat({
  root .. "/tests/spec/support/?.lua",
  root .. "/tests/functional/?.lua",
  root .. "/tests/crash/?.lua",
  package.path,
}, ";")
-- busted forgets what a file required before it reads the next one, and lua-mpack can't be opened twice: it is opened
-- before the first.
pcall(require, "mpack")
