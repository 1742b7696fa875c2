---@meta

---@param name string
---@param run fun()
function describe(name, run) end

--- Without a function it is pending.
---@param name string
---@param run? fun()
function it(name, run) end

---@param name string
function pending(name) end

---@param run fun()
function before_each(run) end

---@param about? {userId?: string, anonymousId?: string, at?: string, channel?: string, hold_out?: boolean}
---@return Lead
function lead(about) end

--- A lead that has done what a file of events beside the spec says.
---@param file string
---@return Lead
function fixture(file) end

---@class Lead
local Lead = {}

--- An event by its name. `more`: how often, or { channel, properties, times, every = "1m", … }.
---@return Lead
function Lead:track(name, more) end

---@return Lead
function Lead:page(name, more) end

---@return Lead
function Lead:screen(name, more) end

--- Says who it is: traits. A lead that had no name until now gets `more.userId`, else "lead".
---@return Lead
function Lead:identify(traits, more) end

---@return Lead
function Lead:group(group, traits, more) end

---@return Lead
function Lead:alias(user, more) end

--- Looks at something: the signal set's event "… Viewed" of that name, or a page where it has none.
---@return Lead
function Lead:views(what, count, every) end

--- An event as a table, for what the verbs do not say.
---@return Lead
function Lead:event(event) end

--- Lets time pass; timers that are due fire.
---@return Lead
function Lead:wait(duration) end

--- The same up to a time.
---@return Lead
function Lead:at(text) end

--- What features of its account say from its next event on: { account_demo_ago = "2h" }.
---@return Lead
function Lead:account(values) end

--- Any words of specs of tables: expect { stage = "mql", min_intent = 45 }.
---@return Lead
function Lead:expect(words) end

---@return Lead
function Lead:expect_owner(wanted) end

---@return Lead
function Lead:expect_action(wanted) end

---@return Lead
function Lead:expect_no_owner() end

---@return Lead
function Lead:expect_eligible() end

--- Left out; `by`: the condition that it failed.
---@return Lead
function Lead:expect_not_eligible(by) end

--- Transitions since the last expectation: expect_transitions { "visitor -> engaged" }.
---@return Lead
function Lead:expect_transitions(list) end

--- A rule by its name: evidence in force, an adjustment, a transition, a route that chose.
---@return Lead
function Lead:expect_fired(name) end

---@return Lead
function Lead:expect_not_fired(name) end

--- What a feature is now; nil: not known.
---@return Lead
function Lead:expect_feature(name, wanted) end

--- A transition's timer runs, due in so long from now (when it is said).
---@return Lead
function Lead:expect_timer(name, after) end

--- Points: a number to a tenth, or { at_least = 40, at_most = 50 }.
---@return Lead
function Lead:expect_combined(wanted) end

--- Points: a number to a tenth, or { at_least = 40, at_most = 50 }.
---@return Lead
function Lead:expect_fit(wanted) end

--- Points: a number to a tenth, or { at_least = 40, at_most = 50 }.
---@return Lead
function Lead:expect_engagement(wanted) end

--- Points: a number to a tenth, or { at_least = 40, at_most = 50 }.
---@return Lead
function Lead:expect_intent(wanted) end

---@return Lead
function Lead:expect_stage(wanted) end

---@return Lead
function Lead:expect_owner_in(wanted) end

---@return Lead
function Lead:expect_action_in(wanted) end

---@return Lead
function Lead:expect_ineligible(wanted) end

---@return Lead
function Lead:expect_held(wanted) end

---@return Lead
function Lead:expect_suppressed(wanted) end

---@return Lead
function Lead:expect_band(wanted) end

---@return Lead
function Lead:expect_sales(wanted) end

---@return Lead
function Lead:expect_memory(wanted) end

---@return Lead
function Lead:expect_notes(wanted) end

---@return Lead
function Lead:expect_inside(wanted) end

---@return Lead
function Lead:expect_regions(wanted) end

---@return Lead
function Lead:expect_min_combined(wanted) end

---@return Lead
function Lead:expect_max_combined(wanted) end

---@return Lead
function Lead:expect_min_fit(wanted) end

---@return Lead
function Lead:expect_max_fit(wanted) end

---@return Lead
function Lead:expect_min_engagement(wanted) end

---@return Lead
function Lead:expect_max_engagement(wanted) end

---@return Lead
function Lead:expect_min_intent(wanted) end

---@return Lead
function Lead:expect_max_intent(wanted) end

