--- The policy's data folder: csv files with a header line, read at build time.
local freeze = require "frozen"
local tree = require "tree"

local data = {}

local function names() return tree.input.data or {} end

-- One line's fields; quotes as in RFC 4180, but a field ends with its line.
local function split(line)
  local fields, at = {}, 1
  while true do
    local field, stop
    if line:sub(at, at) == '"' then
      local close = at + 1
      while true do
        close = line:find('"', close, true)
        if not close then return nil end
        if line:sub(close + 1, close + 1) ~= '"' then break end
        close = close + 2
      end
      field, stop = line:sub(at + 1, close - 1):gsub('""', '"'), close + 1
    else
      stop = line:find(",", at, true) or #line + 1
      field = line:sub(at, stop - 1):match "^%s*(.-)%s*$"
    end
    fields[#fields + 1] = field
    if stop > #line then return fields end
    if line:sub(stop, stop) ~= "," then return nil end
    at = stop + 1
  end
end

--- The rows of data/NAME.csv, the header first: {{fields, path, line}…}; nil when it is not there (reported at
--- `place`, or where the policy's code stands) or broken (reported where it breaks).
function data.rows(name, place)
  if type(name) ~= "string" then
    tree.problem(place, "a data file is named by a text, without folder and .csv")
    return nil
  end
  local known = false
  for _, candidate in ipairs(names()) do
    known = known or candidate == name
  end
  if not known then
    tree.problem(place, "no data file '%s' (data/%s.csv)%s", name, name, tree.hint(name, names()))
    return nil
  end
  local path = ("policies/%s/data/%s.csv"):format(tree.input.policy, name)
  local rows, line_number = {}, 0
  for line in (require(tree.input.policy .. ".data." .. name) .. "\n"):gmatch "([^\n]*)\n" do
    line_number = line_number + 1
    line = line:gsub("\r$", "")
    if line:find "%S" then
      local fields = split(line)
      local row_place = { path = path, line = line_number }
      if not fields then
        tree.problem(row_place, "a quote that does not end, or text behind one")
        return nil
      end
      if rows[1] and #fields ~= #rows[1].fields then
        tree.problem(row_place, "%d fields where the header has %d", #fields, #rows[1].fields)
        return nil
      end
      rows[#rows + 1] = { fields = fields, path = path, line = line_number }
    end
  end
  if not rows[1] then
    tree.problem({ path = path, line = 1 }, "empty: a header line is needed")
    return nil
  end
  return rows
end

-- Where a column stands; nil: there is none of that name, reported where the policy's code stands.
local function column_of(name, header, column)
  if column == nil then return 1 end
  for i, title in ipairs(header) do
    if title == column then return i end
  end
  tree.problem(nil, "data/%s.csv has no column '%s'%s", name, tostring(column), tree.hint(column, header))
end

--- A column of data/NAME.csv without its header, each text once; the first one unless `column` names another.
function data.list(name, column)
  local rows = data.rows(name)
  local at = rows and column_of(name, rows[1].fields, column)
  if not at then return nil end
  local list, seen = {}, {}
  for i = 2, #rows do
    local text = rows[i].fields[at]
    if text ~= "" and not seen[text] then
      seen[text] = true
      list[#list + 1] = text
    end
  end
  if #list == 0 then
    tree.problem({ path = rows[1].path, line = 1 }, "the list is empty")
    return nil
  end
  return list
end

-- What the header has beside the columns that are asked for.
local function check_header(row, columns, more)
  local all, known = {}, {}
  for _, list in ipairs { columns, more } do
    for _, column in ipairs(list) do
      all[#all + 1], known[column] = column, true
    end
  end
  for _, header in ipairs(row.fields) do
    if not known[header] then
      local hint = tree.hint(header, all)
      tree.problem(row, "no column is called '%s'%s", header, hint ~= "" and hint or "; there are " .. table.concat(all, ", "))
    end
  end
end

--- Rows of data/NAME.csv by column, all of `columns` required: {{name = …, team = …, path, line}…}. `more`: columns that may be
--- there, and then no others may (nil: any may).
function data.records(name, columns, place, more)
  local rows = data.rows(name, place)
  if not rows then return nil end
  local at = {}
  for i, header in ipairs(rows[1].fields) do
    at[header] = i
  end
  for _, column in ipairs(columns) do
    if not at[column] then
      tree.problem(rows[1], "no column '%s'%s", column, tree.hint(column, rows[1].fields))
      return nil
    end
  end
  if more then check_header(rows[1], columns, more) end
  local records = {}
  for i = 2, #rows do
    local record = { path = rows[i].path, line = rows[i].line }
    for _, column in ipairs(columns) do
      record[column] = rows[i].fields[at[column]]
    end
    for _, column in ipairs(more or {}) do
      record[column] = at[column] and rows[i].fields[at[column]]
    end
    records[#records + 1] = record
  end
  return records
end

return freeze("data", data)
