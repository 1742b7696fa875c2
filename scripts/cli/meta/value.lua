---@meta

--- Holds or not, for each lead: put together with signal.all, any and none.
---@class Condition

--- A number or text that is known of a lead: a feature, belief.intent, score.fit, or arithmetic on them.
---@class Value
---@operator add(Value|number): Value
---@operator sub(Value|number): Value
---@operator mul(Value|number): Value
---@operator div(number): Value
---@operator unm: Value
local Value = {}

---@param bound number|string
---@return Condition
function Value:at_least(bound) end

---@param bound number|string
---@return Condition
function Value:above(bound) end

---@param bound number|string
---@return Condition
function Value:at_most(bound) end

---@param bound number|string
---@return Condition
function Value:under(bound) end

--- Both ends are within.
---@param low number|string
---@param high number|string
---@return Condition
function Value:within(low, high) end

---@param what number|string
---@return Condition
function Value:is(what) end

--- `name` is a csv file in the policy's data folder; its first column is the list, or the one that `column` names.
---@param name string
---@param column? string a header
---@return Condition
function Value:in_list(name, column) end

---@return Condition
function Value:is_known() end

--- The value, or `number` while it is not known.
---@param number number
---@return Value
function Value:default(number) end

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

---@class Go
---@field when? Condition
---@field on? string|string[]
---@field after? string
---@field at? string
---@field calendar? string
---@field resume? boolean
---@field set? table<string, number|boolean|string>
---@field add? table<string, number>
---@field why string

---@class RouteBody
---@field why string
---@field team? string
---@field pick? string "weighted" (default): the lead draws; "round_robin": by turns; "least_busy": who has the fewest for his weight
---@field sticky? boolean the owner from before keeps the lead if he can (by turns)
---@field skill? string of those who have it in the column skills (by turns)
---@field full? string where nobody has room: "otherwise" (default) goes on to the otherwise rule, "wait" waits (by turns)
---@class RouteRuleBody: RouteBody
---@field when Condition

---@class ChannelBody
---@field consent? Condition
---@field at_most? string|string[]
---@field quiet? string "20:00-08:00"
---@field zone? string|Value
---@field zones? string a csv
---@field default_zone? string
---@field calendar? string a csv of opening hours (scripts/calendar.lua)
---@field why string

---@class OfferBody
---@field stages string|string[] where it is open
---@field utility Value|number what it is worth
---@field when? Condition
---@field channel? string an action.channel
---@field consent? Condition beside the channel's
---@field cool_down? string "14d": at least so long between two of them
---@field at_most? string|string[] "2 in 90d"
---@field why string

---@class PolicySales
---@field owner_set? string|string[] names of events by which sales sets an owner: properties.owner
---@field owner_cleared? string|string[]
---@field stage_set? string|string[] the stage that sales moves a lead to: properties.stage
---@field disqualified? string|string[] why: properties.reason
---@field requalified? string|string[]
---@field rejected? string|string[] the owner gives the lead back
---@field accepted? string|string[]
---@field not_again_for? string how long routes pass by who gave a lead back; default "30d"

