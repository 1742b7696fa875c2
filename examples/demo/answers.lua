-- Reads what `intent send --json` prints: a decision a line, with the line of the event that it answers.
local answers = {}

-- Kinds of rows that are no part of the combined score.
local BESIDE = { evidence = true, channel_cap = true, fit_score = true, engagement_score = true }

local function number(text) return text and tonumber(text) / 1000 end

--- The decision in one printed line, or nil (the summary, an error).
function answers.parse(line)
  local at = line:match '^{"line":(%d+),"decision":{'
  if not at then return nil end
  return {
    line = tonumber(at),
    id = line:match '"decision_id":"([%x%-]+)"',
    lead = line:match '"lead":"(%x+)"',
    at = tonumber(line:match '"at":(%-?%d+)'),
    fit = number(line:match '"fit":(%-?%d+)'),
    engagement = number(line:match '"engagement":(%-?%d+)'),
    combined = number(line:match '"combined":(%-?%d+)'),
    intent = number(line:match '"intent":(%-?%d+)'),
    stage = line:match '"stage":"([^"]+)"',
    before = line:match '"stage_before":"([^"]+)"',
    owner = line:match '"owner":"([^"]+)"',
    action = line:match '"action":"([^"]+)"',
    held = line:match '"held":"([^"]+)"',
    version = line:match '"policy":{"name":"[^"]*","version":"(%x+)"',
    hash = line:match '"hash":"(%x+)"',
    duplicate = line:find('"duplicate":true', 1, true) ~= nil,
  }
end

--- Calls `each` for every decision in a file; returns how many there were and the summary line.
function answers.read(path, each)
  local count, summary = 0, nil
  for line in io.lines(path) do
    local decision = answers.parse(line)
    if decision then
      count = count + 1
      each(decision)
    elseif line:find('"summary"', 1, true) then
      summary = line
    end
  end
  return count, summary
end

--- Adds up what a ledger's rows say; true when they sum to the score, to the thousandth.
function answers.sums(line)
  local sum = 0
  for kind, rest in line:gmatch '{"kind":"(%a+_?%a*)"(.-)}' do
    local points = rest:match '"points":(%-?%d+)'
    if points and not BESIDE[kind] then sum = sum + tonumber(points) end
  end
  return sum == tonumber(line:match '"combined":(%-?%d+)')
end

return answers
