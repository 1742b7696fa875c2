--- Boosted trees as XGBoost saves them, and their model.json, for the tests that put them into a folder of policies.
local ffi = require "ffi"

ffi.cdef [[
int crypto_hash_sha256(uint8_t *out, const uint8_t *in, unsigned long long n);
]]
local sodium = ffi.load "sodium"

local trees = {}

local function sha256(text)
  local out, digits = ffi.new "uint8_t[32]", {}
  sodium.crypto_hash_sha256(out, text, #text)
  for i = 0, 31 do digits[i + 1] = ("%02x"):format(out[i]) end
  return table.concat(digits)
end

--- weights.json of a model with that many features. `list`: the inside of each tree's object.
function trees.booster(features, list)
  local groups, bodies = {}, {}
  for i, tree in ipairs(list) do
    groups[i], bodies[i] = "0", "{" .. tree .. "}"
  end
  return ([=[{"learner": {"learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "%d", "num_target": "1"},
 "objective": {"name": "binary:logistic"}, "gradient_booster": {"name": "gbtree", "model": {"tree_info": [%s], "trees": [%s]}}},
 "version": [1, 7, 4]}]=]):format(features, table.concat(groups, ", "), table.concat(bodies, ", "))
end

--- model.json. `features`: their objects as text; `calibration`: its object as text, or nil.
function trees.head(name, version, weights, features, calibration)
  return ([=[{"name": "%s", "version": "%s", "kind": "xgboost", "sha256": "%s", "target": "t", "rationale": "r", %s
 "scale": {"points_to_double_odds": 10, "points_at_even_odds": 50}, "features": [%s]}]=]):format(name, version, sha256(weights),
    calibration and '"calibration": ' .. calibration .. "," or "", table.concat(features, ", "))
end

return trees
