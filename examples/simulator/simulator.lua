--- A generator of B2B journeys, with the truth about who buys. It makes accounts one by one; each is of a kind, which
--- decides how its people behave, and each person leaves a trail of events in the words of policies/signals/b2b.
--- README.md tells what is modelled and what is not. The same seed gives the same events on any machine: nothing here
--- asks a clock or another source of chance.
---
--- input {seed, start_ms, days, account, accounts, leads}: makes accounts number `account` and following, at most
--- `accounts` of them and at most `leads` people. -> {leads, accounts, events = {{at_ms, event}…} in no order,
--- truth = {{user, buys, when_ms, kind, role, account}…}} (when_ms 0: never; it may lie after the last day, when
--- nothing of it shows yet).

local DAY, HOUR, MINUTE = 86400000, 3600000, 60000

-- ---- chance ----

--- Marsaglia's xorshift with 32 bits, begun from a hash of `text`.
local function new_chance(text)
  local x = bit.tobit(tonumber(host.hash64(text):sub(1, 8), 16))
  if x == 0 then x = 1 end
  local c = {}
  function c.unit()
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.bxor(x, bit.lshift(x, 5))
    return x % 4294967296 / 4294967296
  end
  function c.happens(p) return c.unit() < p end
  function c.between(low, high) return low + (high - low) * c.unit() end
  function c.whole(low, high) return math.floor(c.between(low, high + 1)) end
  function c.pick(list) return list[c.whole(1, #list)] end
  --- {name, weight, name, weight, …}
  function c.weighted(list)
    local sum = 0
    for i = 2, #list, 2 do sum = sum + list[i] end
    local at = c.unit() * sum
    for i = 2, #list, 2 do
      at = at - list[i]
      if at < 0 then return list[i - 1] end
    end
    return list[#list - 1]
  end
  --- How often something with this mean happens.
  function c.poisson(mean)
    local limit, n, product = math.exp(-mean), 0, c.unit()
    while product > limit do n, product = n + 1, product * c.unit() end
    return n
  end
  return c
end

-- ---- the world ----

local INDUSTRIES = { "software", 30, "finance", 16, "retail", 14, "manufacturing", 14, "education", 10, "health", 9,
  "media", 7 }
local REGIONS = { "amer", 45, "emea", 38, "apac", 17 }
local COUNTRIES = { amer = { "US", "CA", "BR" }, emea = { "DE", "FR", "GB", "NL" }, apac = { "JP", "AU", "IN" } }
local UTC_OFFSET_H = { amer = -6, emea = 1, apac = 8 }
local JOBS = {
  individual = { "Engineer", "Analyst", "Marketer" },
  manager = { "Head of Data", "Product Manager", "Team Lead" },
  executive = { "CTO", "VP Sales", "CFO" },
}
local FREE_MAIL = { "gmail.com", "outlook.com", "gmx.net", "proton.me" }
local COMPETITORS = { "rival.example", "otherleads.example", "scorepoint.example" }
local FEATURES = { "dashboard", "alerts", "export", "api", "roles", "forecast", "share", "templates", "audit", "sso" }
local FIRST = { "maria", "tom", "kim", "lee", "ana", "omar", "eva", "raj", "lin", "noah", "ida", "sam", "zoe", "max" }

--- What each kind of account does. `rate(x)`: visits a working day, where x goes from 0 at the first visit to 1 at the
--- end of the cycle, and may pass it. `pages`: weights of what a visit looks at. `use(x)`: things done in the product a
--- working day, once a trial runs.
local KINDS = {
  buyer = { people = { 2, 6 }, cycle = { 18, 75 },
    identify = 0.98, trial = 0.85, demo = 0.7, integrates = 0.55, clicks = 0.14, open = 0.4,
    rate = function(x) return x <= 1 and 0.12 + 1.3 * x * x or 0.2 end,
    use = function(x) return x <= 1 and 0.5 + 7 * x * x or 4 end,
    pages = { "Home", 20, "Product", 22, "Blog", 10, "Pricing", 22, "Docs", 16, "Case", 10 } },
  evaluator = { people = { 1, 3 }, cycle = { 15, 60 },
    identify = 0.9, trial = 0.6, demo = 0.25, integrates = 0.12, clicks = 0.1, open = 0.33,
    rate = function(x) return x <= 1 and 0.1 + 2.4 * x * (1 - x) or 0.03 end,
    use = function(x) return x <= 1 and 9 * x * (1 - x) * (1 - x) or 0.05 end,
    pages = { "Home", 22, "Product", 24, "Blog", 14, "Pricing", 18, "Docs", 16, "Case", 6 } },
  curious = { people = { 1, 1 }, cycle = { 10, 90 },
    identify = 0.35, trial = 0.08, demo = 0.02, integrates = 0.02, clicks = 0.05, open = 0.2,
    rate = function() return 0.07 end,
    use = function(x) return x < 0.5 and 0.6 or 0 end,
    pages = { "Home", 30, "Product", 20, "Blog", 38, "Pricing", 6, "Docs", 4, "Case", 2 } },
  student = { people = { 1, 1 }, cycle = { 10, 40 },
    identify = 0.7, trial = 0.5, demo = 0, integrates = 0.05, clicks = 0.08, open = 0.3,
    evening = true, free_mail = true,
    rate = function(x) return x <= 1 and 0.35 or 0 end,
    use = function(x) return x <= 1 and 1.5 or 0 end,
    pages = { "Home", 8, "Product", 14, "Blog", 18, "Pricing", 4, "Docs", 54, "Case", 2 } },
  competitor = { people = { 1, 2 }, cycle = { 60, 120 },
    identify = 0.8, trial = 0.4, demo = 0.06, integrates = 0, clicks = 0.1, open = 0.5,
    rate = function() return 0.25 end,
    use = function() return 0.8 end,
    pages = { "Home", 6, "Product", 28, "Blog", 10, "Pricing", 34, "Docs", 14, "Case", 8 } },
  employee = { people = { 1, 2 }, cycle = { 200, 300 },
    identify = 1, trial = 1, demo = 0, integrates = 0.3, clicks = 0.2, open = 0.6,
    rate = function() return 0.4 end,
    use = function() return 5 end,
    pages = { "Home", 20, "Product", 20, "Blog", 10, "Pricing", 10, "Docs", 30, "Case", 10 } },
  robot = { people = { 1, 1 }, cycle = { 20, 120 },
    identify = 0, trial = 0, demo = 0, integrates = 0, clicks = 0, open = 0,
    rate = function() return 0 end, use = function() return 0 end, pages = { "Home", 1 } },
}
local SHARES = { "evaluator", 33, "curious", 40, "student", 6, "competitor", 3, "employee", 2, "robot", 4 }
local BUYERS = 0.06 -- of all accounts, before the profile's say

-- The profile moves the chance of buying by less than half either way: it ranks weakly, as profiles do.
local function chance_to_buy(account)
  local size = account.size < 50 and 0.65 or account.size < 2000 and 1.35 or 1.1
  local trade = account.industry == "software" and 1.35 or account.industry == "education" and 0.6 or 0.95
  return BUYERS * size * trade
end

local function new_account(input, number)
  local c = new_chance(("%s/account/%d"):format(input.seed, number))
  local account = { number = number, chance = c, region = c.weighted(REGIONS), industry = c.weighted(INDUSTRIES) }
  account.size = math.floor(math.exp(c.between(1.6, 9.2)))
  account.country = c.pick(COUNTRIES[account.region])
  account.kind = c.happens(chance_to_buy(account)) and "buyer" or c.weighted(SHARES)
  local kind = KINDS[account.kind]
  account.tier = account.size > 2000 and "strategic" or account.size > 100 and "mid" or "small"
  account.domain = ("company%d.example"):format(number)
  if kind.free_mail then account.domain = c.pick(FREE_MAIL) end
  if account.kind == "competitor" then account.domain = c.pick(COMPETITORS) end
  if account.kind == "employee" then account.domain = "ours.example" end
  account.cycle = c.between(kind.cycle[1], kind.cycle[2])
  account.first_day = c.between(-0.2 * input.days, 0.9 * input.days)
  if account.kind == "buyer" then -- no sale before day 0
    account.first_day = math.max(account.first_day, 1 - 0.8 * account.cycle)
  end
  account.people = c.whole(kind.people[1], kind.people[2])
  return account
end

-- ---- a person and the trail ----

local function new_person(input, account, role)
  local c = new_chance(("%s/person/%d/%d"):format(input.seed, account.number, role))
  local person = { input = input, chance = c, account = account, kind = KINDS[account.kind], events = 0 }
  person.is_champion = role == 1
  person.id = ("%d-%d"):format(account.number, role)
  person.anonymous = ("a-%s-%s"):format(input.seed, person.id)
  local first = c.pick(FIRST)
  person.user = ("%s.%s@%s"):format(first, person.id, account.domain)
  person.first_name = first:sub(1, 1):upper() .. first:sub(2)
  local decides = account.kind == "buyer" and role == 1
  person.seniority = c.weighted(decides and { "individual", 30, "manager", 48, "executive", 22 }
    or { "individual", 55, "manager", 33, "executive", 12 })
  person.job = c.pick(JOBS[person.seniority])
  -- Colleagues come after the one who found us.
  person.first_day = account.first_day + (role == 1 and 0 or c.between(0.15, 0.75) * account.cycle)
  person.eager = person.is_champion and c.between(0.8, 1.4) or c.between(0.2, 0.8)
  person.scanner = c.happens(0.04) -- the company's mail filter follows every link
  return person
end

local function emit(person, out, at_ms, event)
  local input = person.input
  at_ms = math.floor(at_ms)
  if at_ms < input.start_ms or at_ms >= input.start_ms + input.days * DAY then return false end
  person.events = person.events + 1
  event.messageId = ("sim-%s-%s-%d"):format(input.seed, person.id, person.events)
  event.timestamp = at_ms
  event.type = event.type or "track"
  if person.known_ms and at_ms >= person.known_ms then
    event.userId = person.user
    -- Who was known before the first day is introduced by the first event.
    if not person.introduced then person.introduce(at_ms) end
  end
  event.anonymousId = person.anonymous
  local knows_browser = event.channel ~= "email" and event.channel ~= "crm"
  if not knows_browser then event.anonymousId = nil end
  if not event.userId and not event.anonymousId then event.userId = person.user end
  out[#out + 1] = { at_ms, event }
  person.seen = true
  if event.userId then person.named = true end
  return true
end

local function identify(person, out, at_ms)
  local account = person.account
  local traits = { email = person.user, firstName = person.first_name, seniority = person.seniority, title = person.job,
    company = account.domain, industry = account.industry, employees = account.size, region = account.region,
    country = account.country, tier = account.tier }
  if account.kind == "employee" then traits.employee = true end
  if person.kind.free_mail then
    traits.company, traits.employees, traits.tier, traits.industry = nil, nil, nil, nil
  end
  person.introduced = true
  person.introduced = emit(person, out, at_ms, { type = "identify", channel = "web", traits = traits })
end

local function become_known(person, out, at_ms)
  person.known_ms = math.floor(at_ms) -- as the events' own times are
  person.introduce = function(when) identify(person, out, when) end
  identify(person, out, at_ms)
end

-- Milliseconds of the day at which somebody there sits at a desk, or in the evening at home.
local function hour_of(person)
  local c = person.chance
  local hour = person.kind.evening and c.between(18, 23.5) or (c.between(8, 18) + c.between(8, 18)) / 2
  return (hour - UTC_OFFSET_H[person.account.region]) * HOUR
end

local function weekday_factor(input, day)
  local weekday = (math.floor(input.start_ms / DAY) + day + 4) % 7 -- 0: Sunday
  return (weekday == 0 or weekday == 6) and 0.15 or 1
end

local function visit(person, out, at_ms)
  local c = person.chance
  local source = c.weighted { "search", 45, "direct", 30, "ad", 12, "social", 13 }
  for _ = 1, 1 + c.poisson(2.2) do
    local page = c.weighted(person.kind.pages)
    if page == "Pricing" then
      emit(person, out, at_ms, { event = "Pricing Viewed", channel = "web", properties = { source = source } })
    elseif page == "Docs" then
      emit(person, out, at_ms, { event = "Docs Viewed", channel = "web", properties = { page = c.whole(1, 40) } })
    elseif page == "Case" then
      emit(person, out, at_ms, { event = "Case Study Downloaded", channel = "web",
        properties = { industry = person.account.industry } })
    else
      emit(person, out, at_ms, { type = "page", name = page, channel = "web", properties = { source = source } })
    end
    at_ms = at_ms + c.between(15000, 4 * MINUTE)
  end
  return at_ms
end

local function use_product(person, out, at_ms, things)
  local c = person.chance
  for _ = 1, things do
    local what = c.weighted { "Feature Used", 86, "Project Created", 8, "Report Exported", 6 }
    local event = { event = what, channel = "product" }
    if what == "Feature Used" then -- the first ones of the list more often
      event.properties = { feature = FEATURES[math.min(c.whole(1, #FEATURES), c.whole(1, #FEATURES))] }
    end
    emit(person, out, at_ms, event)
    at_ms = at_ms + c.between(20000, 12 * MINUTE)
  end
end

local function mail(person, out, day_ms)
  local c, kind = person.chance, person.kind
  local at_ms = day_ms + 9 * HOUR + c.between(0, 30 * MINUTE)
  if person.unsubscribed then return end
  if not emit(person, out, at_ms, { event = "Email Delivered", channel = "email" }) then return end
  if person.scanner then
    emit(person, out, at_ms + c.between(1000, 8000),
      { event = "Email Link Clicked", channel = "email", properties = { agent = "scanner" } })
  elseif c.happens(kind.open) then
    local open_ms = at_ms + c.between(5 * MINUTE, 20 * HOUR)
    emit(person, out, open_ms, { event = "Email Opened", channel = "email" })
    if c.happens(kind.clicks / kind.open) then
      emit(person, out, open_ms + c.between(4000, 90000), { event = "Email Link Clicked", channel = "email" })
      visit(person, out, open_ms + 2 * MINUTE)
    end
  end
  if c.happens(0.008) then
    person.unsubscribed = true
    emit(person, out, at_ms + c.between(HOUR, 30 * HOUR), { event = "Unsubscribed", channel = "email" })
  end
end

-- What sales and the demo add to the trail of the one who speaks for the account.
local function sales(person, out, day_ms)
  local c, account, kind = person.chance, person.account, person.kind
  local function at(x) return day_ms(person.first_day + x * account.cycle) + hour_of(person) end
  local is_buyer = account.kind == "buyer"
  local has_demo = c.happens(kind.demo)
  if has_demo then
    local asked = at(c.between(0.35, 0.6))
    if not person.known_ms or person.known_ms > asked then
      become_known(person, out, asked - MINUTE)
    end
    emit(person, out, asked, { event = "Demo Requested", channel = "web" })
    emit(person, out, asked + c.between(2, 30) * HOUR,
      { event = "crm.call_logged", channel = "crm", properties = { minutes = c.whole(3, 25) } })
    if c.happens(is_buyer and 0.9 or 0.6) then
      emit(person, out, asked + c.between(2, 6) * DAY, { event = "Demo Attended", channel = "web" })
    end
  end
  if not person.known_ms then return end
  if is_buyer then
    emit(person, out, at(0.75), { event = "crm.meeting_held", channel = "crm" })
    emit(person, out, at(0.78), { event = "crm.opportunity_created", channel = "crm" })
    emit(person, out, at(0.9), { event = "crm.meeting_held", channel = "crm" })
    account.won_ms = math.floor(at(1))
    emit(person, out, account.won_ms, { event = "crm.opportunity_won", channel = "crm" })
  elseif has_demo and account.kind == "evaluator" and c.happens(0.4) then
    emit(person, out, at(0.8), { event = "crm.opportunity_created", channel = "crm" })
    emit(person, out, at(c.between(1, 1.3)), { event = "crm.opportunity_lost", channel = "crm" })
  elseif has_demo and c.happens(0.6) then
    emit(person, out, at(0.75), { event = "crm.lead_rejected", channel = "crm" })
  end
end

local function robot(person, out, day_ms)
  local c = person.chance
  for _ = 1, c.whole(1, 4) do
    local at_ms = day_ms(person.first_day + c.between(0, person.account.cycle)) + c.between(0, 24) * HOUR
    for i = 1, c.whole(20, 80) do
      local page = c.weighted { "Home", 1, "Product", 1, "Blog", 1, "Pricing", 1 }
      emit(person, out, at_ms + i * 1000,
        { type = "page", name = page, channel = "web", context = { userAgent = "crawler" } })
    end
  end
end

local function live(person, out, colleagues)
  local c, account, kind, input = person.chance, person.account, person.kind, person.input
  local function day_ms(day) return input.start_ms + math.floor(day) * DAY end
  if account.kind == "robot" then return robot(person, out, day_ms) end
  local visits, identify_after = 0, c.happens(kind.identify) and c.whole(1, 4) or nil
  if not person.is_champion and account.kind ~= "curious" then identify_after = 1 end
  local trial_x = c.happens(kind.trial) and c.between(0.15, 0.45) or nil
  local integrate_x = c.happens(kind.integrates) and c.between(0.5, 0.85) or nil
  local mail_day = 2 + account.number % 3
  for day = math.floor(person.first_day), input.days - 1 do
    local x = (day - account.first_day) / account.cycle
    local busy = weekday_factor(input, day) * person.eager
    local count = day == math.floor(person.first_day) and 1 or c.poisson(kind.rate(x) * busy)
    for _ = 1, count do
      local ended = visit(person, out, day_ms(day) + hour_of(person))
      visits = visits + 1
      if identify_after and not person.known_ms and visits >= identify_after then
        become_known(person, out, ended)
      end
    end
    if trial_x and person.known_ms and x >= trial_x then
      if not person.trial then
        person.trial = true
        emit(person, out, day_ms(day) + hour_of(person), { event = "Trial Started", channel = "product" })
      end
      use_product(person, out, day_ms(day) + hour_of(person), c.poisson(kind.use(x) * busy))
      if integrate_x and x >= integrate_x then
        integrate_x = nil
        emit(person, out, day_ms(day) + hour_of(person), { event = "Integration Connected", channel = "product",
          properties = { system = c.pick { "crm", "warehouse", "chat" } } })
      end
      for _, other in ipairs(colleagues) do
        if math.floor(other.first_day) == day and c.happens(0.8) then
          emit(person, out, day_ms(day) + hour_of(person), { event = "Teammate Invited", channel = "product" })
        end
      end
    end
    if person.known_ms and (day + 7) % 7 == mail_day then mail(person, out, day_ms(day)) end
  end
  if person.is_champion then sales(person, out, day_ms) end
end

local function simulate_account(input, number, result)
  local account = new_account(input, number)
  local people = {}
  for role = 1, account.people do people[role] = new_person(input, account, role) end
  local colleagues = {}
  for role = 2, #people do colleagues[#colleagues + 1] = people[role] end
  for role, person in ipairs(people) do
    if result.leads >= input.leads then return end
    live(person, result.events, role == 1 and colleagues or {})
    if person.seen then
      local buys = account.kind == "buyer"
      local end_ms = input.start_ms + math.floor(account.first_day + account.cycle) * DAY
      local when = buys and (account.won_ms or end_ms) or 0
      result.leads = result.leads + 1
      result.truth[#result.truth + 1] = { person.named and person.user or person.anonymous, buys, when, account.kind,
        person.is_champion and "champion" or "colleague", account.number }
    end
  end
end

return function(input)
  local result = { leads = 0, accounts = 0, events = {}, truth = {} }
  for number = input.account, input.account + input.accounts - 1 do
    if result.leads >= input.leads then break end
    simulate_account(input, number, result)
    result.accounts = result.accounts + 1
  end
  return result
end
