---@meta policy

--- policy "name" { owner, rationale, boundary, models = {fit, engagement} or {split}, team, calendar, eligible, mode, sales,
--- retrain }
---@param name string the policy's folder
---@class PolicyHead
---@field owner string who answers for it
---@field rationale string
---@field boundary string what it must never do
---@field models? {fit?: string, engagement?: string, split?: string} split: one model, told apart by feature group
---@field team? string the csv of people
---@field leave? string the csv of who is away, and when
---@field calendar? string the csv of opening hours (scripts/calendar.lua)
---@field eligible? Condition
---@field mode? string "act" (default), "score" or "collect"
---@field sales? PolicySales events by which sales has its say, besides the reserved ones
---@field retrain? table[] when a model has aged: { model, why, and age, drift, auc_under or auc_falls }
---@return fun(body: PolicyHead)
local function policy(name) end

return policy
