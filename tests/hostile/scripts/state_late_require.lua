-- Loads code in a call.
-- build: same
-- call: was not loaded when the policy was
return function() return require 'helper' end
