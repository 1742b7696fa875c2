--- Calendars as data: what a file says, and what is wrong with one; durations and clocks as a policy writes them.
local sample = require "sample"
local sandbox = require "sandbox"

local HEAD = { ['team = "people",'] = 'team = "people", calendar = "office",' }

local function build(rows, file)
  return sample.build(HEAD, { [file or "policies/t/data/office.csv"] = "day,open,close,zone\n" .. rows })
end

local function problems_of(rows, file)
  local out = {}
  for _, problem in ipairs(build(rows, file).problems) do
    out[#out + 1] = ("%s:%d: %s"):format(problem.path:match "([^/]+)$", problem.line, problem.text)
  end
  return out
end

describe("a calendar", function()
  it("says when its weekdays and dates are open", function()
    local artifact = build(table.concat({
      "mon-thu,13:00,17:30,Europe/Berlin",
      "mon-thu,09:00,12:00,",
      "fri,9:00,12:00,",
      "fri,12:00,16:00,Europe/Berlin", -- touches: one opening
      "sat-sun,,,",
      "1970-01-05..1970-01-07,,,",
      "1970-01-06,00:00,24:00,", -- a single date holds in place of a run's
    }, "\n"))
    assert.are.same({}, artifact.problems)
    local usual = { 540, 720, 780, 1050 }
    assert.are.same({
      {
        name = "office",
        zone = "Europe/Berlin",
        week = { {}, usual, usual, usual, usual, { 540, 960 }, {} },
        dates = { { 4 }, { 5, 0, 1440 }, { 6 } },
      },
    }, artifact.calendars)
  end)

  it("a run of weekdays may go over the week's end", function()
    local artifact = build "fri-mon,09:00,10:00,UTC"
    local open = { 540, 600 }
    assert.are.same({ open, open, {}, {}, {}, open, open }, artifact.calendars[1].week)
  end)

  it("is not there unless a policy names one", function() assert.are.same({}, sample.build().calendars) end)

  local function finds(what, rows, expected, file)
    it(what, function() assert.are.same(expected, problems_of(rows, file)) end)
  end
  finds("that is not there", "mon,09:00,17:00,UTC", {
    "policy.lua:6: no data file 'office' (data/office.csv); did you mean 'offices'?",
  }, "policies/t/data/offices.csv")
  finds("without rows", "", { "policy.lua:6: calendar 'office' has no rows" })
  finds("with a misspelt zone", "mon,09:00,17:00,Europe/Berlni", {
    "office.csv:2: no zone 'Europe/Berlni'; did you mean 'Europe/Berlin'? (names such as Europe/Berlin)",
  })
  finds("without a zone", "mon,09:00,17:00,", {
    "office.csv:2: no zone: the column zone says in which one these times are, such as Europe/Berlin",
  })
  finds("with two zones", "mon,09:00,17:00,UTC\ntue,09:00,17:00,Europe/Paris", {
    "office.csv:3: a calendar has one zone: 'Europe/Paris' here, 'UTC' above",
  })
  finds("with a misspelt day", "mon,09:00,17:00,UTC\nmom,09:00,17:00,", {
    "office.csv:3: 'mom' is no day: mon, mon-fri, 2026-12-25, 2026-12-24..2026-12-31; did you mean 'mon'?",
  })
  finds("with a day that does not exist", "mon,09:00,17:00,UTC\n2026-02-29,,,", {
    "office.csv:3: '2026-02-29' is no day: mon, mon-fri, 2026-12-25, 2026-12-24..2026-12-31",
  })
  finds("with a run that goes back", "mon,09:00,17:00,UTC\n2026-03-02..2026-03-01,,,", {
    "office.csv:3: '2026-03-02..2026-03-01' is no day: mon, mon-fri, 2026-12-25, 2026-12-24..2026-12-31",
  })
  finds("with no time", "mon,09:00,5pm,UTC", {
    "office.csv:1: calendar 'office' opens on no weekday",
    "office.csv:2: open and close are times such as 09:00 and 17:30, or both empty, not '09:00' and '5pm'",
  })
  finds("past midnight", "mon,22:00,06:00,UTC\ntue,06:00,22:00,", {
    "office.csv:2: opens at 22:00 and closes at 06:00: hours past midnight take two rows, to 24:00 and from 00:00",
  })
  finds("that overlaps", "mon,09:00,17:00,UTC\nmon-fri,16:00,18:00,", {
    "office.csv:3: 'mon-fri' from 16:00 to 18:00 overlaps another row",
  })
  finds("open and closed", "mon,09:00,17:00,UTC\n2026-12-24,09:00,12:00,\n2026-12-24,,,", {
    "office.csv:4: '2026-12-24' has no times here, and opens in another row",
  })
  finds("closed and open", "mon,09:00,17:00,UTC\n2026-12-24,,,\n2026-12-24,09:00,12:00,", {
    "office.csv:4: '2026-12-24' opens here, and has no times in another row",
  })
  finds("never open", "2026-12-24,09:00,12:00,UTC", { "office.csv:1: calendar 'office' opens on no weekday" })
end)

describe("what a policy writes", function()
  local calendar = sandbox.loader((sandbox.modules(".", "b2b_saas")))("calendar")

  it("durations", function()
    assert.are.same({ open_ms = 4 * 3600000, text = "4 business hours" }, calendar.duration "4 business hours")
    assert.are.same({ open_ms = 3600000, text = "1 business hour" }, calendar.duration " 1  business  hour ")
    assert.are.same({ open_ms = 30 * 60000, text = "30 business minutes" }, calendar.duration "30 business minutes")
    assert.are.same({ open_days = 2, text = "2 business days" }, calendar.duration "2 business days")
    assert.are.same({ ms = 259200000, text = "3d" }, calendar.duration "3d")
    for _, wrong in ipairs { "", "0 business hours", "4 hours", "business hours", "1.5 business hours", "0d" } do
      assert.is_nil(calendar.duration(wrong))
    end
    assert.is_nil(calendar.duration "2001 business hours")
    assert.is_nil(calendar.duration "1001 business days")
    assert.is_nil(calendar.duration(4))
  end)

  it("clocks", function()
    assert.are.same({ day = -1, minute = 540, text = "09:00" }, calendar.clock "9:00")
    assert.are.same({ day = 1, minute = 570, text = "mon 09:30" }, calendar.clock "mon 09:30")
    assert.are.same({ day = -2, minute = 0, text = "business day 00:00" }, calendar.clock "business day 00:00")
    for _, wrong in ipairs { "", "9", "24:00", "09:60", "monday 09:00", "mon", "09:00 mon" } do
      assert.is_nil(calendar.clock(wrong))
    end
    assert.is_nil(calendar.clock(9))
  end)
end)
