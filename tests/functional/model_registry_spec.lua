--- Models are versioned apart from policies: what there is, what is in force, and how that changes.
local harness = require "harness"

local function intent(...)
  local words = { ("'%s/intent' model"):format(harness.bin) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  local pipe = io.popen(table.concat(words, " ") .. " 2>&1; echo \"=$?\"")
  local text = pipe:read "*a"
  pipe:close()
  return text:match "^(.*)=%d+\n$", tonumber(text:match "=(%d+)\n$")
end

local function holds(text, ...)
  for _, wanted in ipairs { ... } do
    assert.is_truthy(text:find(wanted, 1, true), ('this does not say "%s":\n%s'):format(wanted, text))
  end
end

describe("the folder of models", function()
  after_each(harness.finish)
  local models
  before_each(function() models = harness.policies() .. "/models" end)

  local function put(name, version, from)
    local text = harness.read(models .. "/" .. name .. "/" .. from .. "/model.json")
    assert(require("lfs").mkdir(models .. "/" .. name .. "/" .. version))
    text = text:gsub('"version": "' .. from .. '"', '"version": "' .. version .. '"')
    harness.write(models .. "/" .. name .. "/" .. version .. "/model.json", text)
    harness.copy(models .. "/" .. name .. "/" .. from .. "/weights.json", models .. "/" .. name .. "/" .. version .. "/weights.json")
  end

  it("is listed in the order of its versions, with what does not load", function()
    put("b2b_fit", "10", "1")
    put("b2b_fit", "9", "1")
    harness.edit(models .. "/b2b_fit/9/weights.json", "{", "{ ")
    local text, code = intent("list", "--models", models)
    assert.equal(0, code, text)
    local first, second, third = text:find("b2b_fit%s+1 "), text:find("b2b_fit%s+9 "), text:find("b2b_fit%s+10 ")
    assert.is_true(first < second and second < third, text)
    holds(text, "does not load", "loan_engagement", "logistic")
    text = intent("list", "loan_fit", "--models", models, "--json")
    holds(text, '[{"name":"loan_fit","version":"1","kind":"scorecard"')
    text, code = intent("list", "none", "--models", models)
    assert.equal(1, code)
    holds(text, "has no model none")
  end)

  it("shows a version, the highest unless one is named, or says what there is", function()
    put("loan_fit", "2", "1")
    local text, code = intent("show", "loan_fit", "--models", models)
    assert.equal(0, code, text)
    holds(text, "scorecard", "trained rows", "3997", "metrics auc_later", "0.5609", "amount_req", "any")
    assert.is_truthy(text:find "version%s+2\n")
    text = intent("show", "loan_fit", "1", "--models", models, "--json")
    holds(text, '"version":"1"', '"auc_later":0.5609')
    for _, case in ipairs {
      { { "show", "loan_fit", "3" }, 1, "loan_fit@3: there is no loan_fit/3/model.json in", "there: 1, 2" },
      { { "show", "load_fit" }, 1, "did you mean 'loan_fit'?" },
      { { "show" }, 2, "show takes 1 to 2 names, not 0" },
      { { "lst" }, 2, 'not "lst"; did you mean list?' },
    } do
      local words = { unpack(case[1]) }
      words[#words + 1], words[#words + 2] = "--models", models
      text, code = intent(unpack(words))
      assert.equal(case[2], code, text)
      holds(text, unpack(case, 3))
    end
  end)
end)
