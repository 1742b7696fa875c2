--- A policy's decision boundaries as a page: what makes eligible, what counts how much, what can be reached, the journey, who
--- gets a lead and what is done. Made from the policy's tree; what a declaration says is shown as it was written, so a
--- new kind of rule, or a new key of one, is on the page without a word here.
local bounds = require "bounds"
local numbers = require "numbers"
local outline = require "outline"
local value = require "value"

local tree = outline.tree

-- ---- what was written, as text ----

local function show(x)
  local node = value.open(x)
  if node then return node.label end
  if type(x) == "number" then return numbers.show(x) end
  if type(x) ~= "table" then return tostring(x) end
  if type(x.kind) == "string" and type(x.name) == "string" then return x.name end -- a declaration
  local parts = {}
  for key, member in pairs(x) do
    parts[#parts + 1] = type(key) == "number" and show(member) or ("%s = %s"):format(key, show(member))
  end
  return table.concat(parts, ", ")
end

local function place(entry) return ("%s:%d"):format(entry.path, entry.line) end

-- ---- blocks: {heading, level}, {text}, {list}, {columns, rows}, {mermaid} ----

local page

local function heading(text, level) page[#page + 1] = { heading = text, level = level or 2 } end
local function say(text, ...) page[#page + 1] = { text = select("#", ...) > 0 and text:format(...) or text } end

-- Columns that come first, in this order; the others follow by name, and `why` and the place come last.
local FIRST = { "when", "on", "after", "at", "points", "half_life", "channel", "stages", "utility", "team", "pick" }
local IS_FIRST = { why = true }
for _, key in ipairs(FIRST) do
  IS_FIRST[key] = true
end

local function keys_of(entries)
  local used, others, keys = {}, {}, {}
  for _, entry in ipairs(entries) do
    for key in pairs(type(entry.body) == "table" and entry.body or {}) do
      if type(key) == "string" and not used[key] then
        used[key] = true
        if not IS_FIRST[key] then others[#others + 1] = key end
      end
    end
  end
  table.sort(others)
  for _, key in ipairs(FIRST) do
    if used[key] then keys[#keys + 1] = key end
  end
  for _, key in ipairs(others) do
    keys[#keys + 1] = key
  end
  if used.why then keys[#keys + 1] = "why" end
  return keys
end

--- A table of declarations. `more`: columns of our own, {name, function(entry) -> text}.
local function add_table(entries, name, title_of, more)
  if #entries == 0 then return end
  local keys, columns, rows = keys_of(entries), { name }, {}
  for _, key in ipairs(keys) do
    if key ~= "why" then columns[#columns + 1] = (key:gsub("_", " ")) end
  end
  for _, column in ipairs(more or {}) do
    columns[#columns + 1] = column[1]
  end
  columns[#columns + 1], columns[#columns + 2] = "why", "where"
  for i, entry in ipairs(entries) do
    local row = { title_of and title_of(entry) or entry.name }
    for _, key in ipairs(keys) do
      local said = type(entry.body) == "table" and entry.body[key]
      if key ~= "why" then row[#row + 1] = said ~= nil and said ~= false and show(said) or "" end
    end
    for _, column in ipairs(more or {}) do
      row[#row + 1] = column[2](entry)
    end
    row[#row + 1], row[#row + 2] = entry.why or type(entry.body) == "table" and entry.body.why or "", place(entry)
    rows[i] = row
  end
  page[#page + 1] = { columns = columns, rows = rows }
end

local seen -- kinds that have a section of their own

local function of_kind(...)
  local out = {}
  for _, kind in ipairs { ... } do
    seen[kind] = true
  end
  for _, entry in ipairs(tree.said) do
    for _, kind in ipairs { ... } do
      if entry.kind == kind then out[#out + 1] = entry end
    end
  end
  return out
end

-- ---- sections ----

local function points(x) return ("%.4g"):format(x) end

local function add_head(about)
  local policy = tree.policy
  seen.policy = true
  heading(policy.name, 1)
  say("%s", policy.rationale)
  local rows = {}
  local function row(name, text)
    if text then rows[#rows + 1] = { name, text } end
  end
  row("never", policy.boundary)
  row("owner", policy.owner)
  row("version", about.version)
  row("signals", about.signals)
  for _, key in ipairs { "mode", "models", "team" } do
    row(key, policy[key] and show(policy[key]) ~= "" and show(policy[key]) or nil)
  end
  for _, key in ipairs(keys_of { policy }) do
    local known = { owner = 1, rationale = 1, boundary = 1, mode = 1, models = 1, team = 1, eligible = 1, why = 1 }
    if not known[key] then row(key, show(policy.body[key])) end
  end
  row("where", place(policy))
  page[#page + 1] = { columns = { "", "" }, rows = rows }
end

local MEANS = { all = "all of these hold", any = "at least one of these holds", none = "none of these holds" }

local function add_lines(lines, node, depth)
  local indent = ("  "):rep(depth)
  if not node.items then
    lines[#lines + 1] = { depth, node.label }
    return lines
  end
  lines[#lines + 1] = { depth, MEANS[node.kind] .. ":" }
  for _, item in ipairs(node.items) do
    add_lines(lines, item, depth + 1)
  end
  return lines, indent
end

local function add_eligible()
  heading "Who is eligible"
  if not tree.policy.eligible then return say "Every lead." end
  say "A lead is decided about when"
  page[#page + 1] = { list = add_lines({}, tree.policy.eligible, 0) }
  say "Others are scored; their stage rests and nothing is done."
end

-- What a channel gives, least and most.
local function reach(channel)
  local low, high = 0, 0
  for _, evidence in ipairs(tree.evidence) do
    if evidence.channel == channel.name then
      local gives = evidence.points * channel.reliability
      low, high = low + math.min(gives, 0), high + math.max(gives, 0)
    end
  end
  return ("%s to %s"):format(points(low), points(math.min(high, channel.at_most or high)))
end

local function reliability_of(name)
  for _, channel in ipairs(tree.channels) do
    if channel.name == name then return channel.reliability end
  end
  return 1
end

local function add_belief()
  local channels, evidence, gates = of_kind "channel", of_kind "evidence", of_kind "gate"
  if #channels + #evidence + #gates == 0 then return end
  heading "Belief: what speaks for buying now"
  say("Points count in full while their condition holds, then they are halved by each half-life; without one they end at once. "
    .. "All together reach %s to %s.", points((bounds.intent())), points((select(2, bounds.intent()))))
  add_table(evidence, "evidence", nil, {
    { "counts", function(entry) return points(entry.points * reliability_of(entry.channel)) end },
  })
  add_table(channels, "channel", nil, { { "reaches", reach } })
  add_table(gates, "gate")
end

local function add_scores()
  heading "Scores"
  local low, high = bounds.of { kind = "combined" }
  local mix = tree.mix and tree.mix.node.label
  if tree.policy.models.split then mix = "the model's own" end
  say("The combined score is %s, with the adjustments below, kept within 0 and 100. It reaches %s to %s.",
    mix or "the model's", points(low), points(high))
  add_table(of_kind "adjust", "adjustment")
  add_table(of_kind "cap", "cap")
  add_table(of_kind "floor", "floor")
  local rows = {}
  for i, band in ipairs(tree.bands or {}) do
    local next_one = tree.bands[i + 1]
    rows[i] = { band.name, points(band.from), next_one and "below " .. points(next_one.from) or "100" }
  end
  if #rows > 0 then page[#page + 1] = { columns = { "band", "from", "to" }, rows = rows } end
end

local function id_of(name) return (name:gsub("[^%w_]", "_")) end

-- Text that a diagram's line may hold.
local function plain(text)
  text = text:gsub("[;#]", ","):gsub(":", " "):gsub('"', "'")
  return #text > 60 and text:sub(1, 57):gsub("[\128-\255]*$", "") .. "..." or text
end

local function reason_of(go)
  local parts = {}
  for _, key in ipairs { "on", "after", "at", "when" } do
    local said = type(go.body) == "table" and go.body[key]
    if said then parts[#parts + 1] = (key == "when" and "" or key .. " ") .. show(said) end
  end
  return table.concat(parts, ", ")
end

-- The stages inside of a stage or of a region.
local function add_inside(lines, stage, depth)
  if not stage.children or #stage.children == 0 then return end
  local indent = ("  "):rep(depth)
  lines[#lines + 1] = ("%sstate %s {"):format(indent, id_of(stage.name))
  if stage.initial then lines[#lines + 1] = ("%s  [*] --> %s"):format(indent, id_of(stage.initial.name)) end
  for _, child in ipairs(stage.children) do
    if #child.children > 0 then
      add_inside(lines, child, depth + 1)
    else
      lines[#lines + 1] = ("%s  %s"):format(indent, id_of(child.name))
    end
  end
  lines[#lines + 1] = indent .. "}"
end

local function add_diagram(goes)
  local lines = { "stateDiagram-v2" }
  for _, stage in ipairs(tree.stages) do
    if id_of(stage.name) ~= stage.name then
      lines[#lines + 1] = ('  state "%s" as %s'):format(stage.name, id_of(stage.name))
    end
  end
  lines[#lines + 1] = "  [*] --> " .. id_of(tree.start.name)
  for _, stage in ipairs(tree.stages) do
    if not stage.parent then add_inside(lines, stage, 1) end
  end
  for _, go in ipairs(goes) do
    lines[#lines + 1] = ("  %s --> %s: %s"):format(id_of(go.from or "?"), id_of(go.name), plain(reason_of(go)))
  end
  for _, stage in ipairs(tree.stages) do
    if stage.final then lines[#lines + 1] = ("  %s --> [*]"):format(id_of(stage.name)) end
  end
  page[#page + 1] = { mermaid = table.concat(lines, "\n") }
end

-- Whether a stage's body says anything but its transitions.
local function next_key(body)
  for key in pairs(body or {}) do
    if type(key) == "string" then return true end
  end
  return false
end

local function add_journey()
  local goes, stages = of_kind "go", {}
  for _, stage in ipairs(of_kind("stage", "region")) do
    if next_key(stage.body) then stages[#stages + 1] = stage end
  end
  heading "The journey"
  say("A lead begins in %s. In each stage transitions are tried from top to bottom, and the first that fires is taken.", tree.start.name)
  add_diagram(goes)
  add_table(stages, "stage")
  add_table(goes, "from -> to", function(go) return ("%s -> %s"):format(go.from or "?", go.name) end)
end

local function add_routes()
  local rules = of_kind("route.to", "route.otherwise")
  if #rules == 0 then return end
  heading "Who gets the lead"
  for _, entry in ipairs(tree.entries) do
    say("On entering %s, the first that matches:", entry.name)
    add_table(entry.rules, "route", function(rule) return rule.kind == "route.otherwise" and rule.name .. " (all others)" or rule.name end)
  end
end

local function add_actions()
  local offers, otherwise = of_kind "offer", of_kind "otherwise"
  if #offers + #otherwise == 0 then return end
  heading "What is done"
  say "Of the offers that are open in the lead's stage the one of highest utility is taken, when it is above that of the last."
  add_table(offers, "offer", nil, {
    { "reaches", function(entry)
      if type(entry.utility) ~= "table" then return "" end
      local low, high = bounds.of(entry.utility)
      return ("%s to %s"):format(points(low), points(high))
    end },
  })
  add_table(otherwise, "else")
  for _, entry in ipairs(tree.said) do
    if entry.kind:find "^action%." and not seen[entry.kind] then add_table(of_kind(entry.kind), entry.kind) end
  end
end

-- Declarations of kinds that have no section above.
local function add_others()
  local kinds, by_kind = {}, {}
  for _, entry in ipairs(tree.said) do
    if not seen[entry.kind] and not (entry.path or ""):find "^policies/signals/" then
      if not by_kind[entry.kind] then
        by_kind[entry.kind], kinds[#kinds + 1] = {}, entry.kind
      end
      table.insert(by_kind[entry.kind], entry)
    end
  end
  for _, kind in ipairs(kinds) do
    heading(kind:sub(1, 1):upper() .. kind:sub(2))
    add_table(by_kind[kind], "name")
  end
  if #tree.customs == 0 then return end
  heading "Lua of its own"
  say "These run for each event; this page can't look into them."
  local rows = {}
  for i, custom in ipairs(tree.customs) do
    local reads = {}
    for j, node in ipairs(custom.reads) do
      reads[j] = node.name
    end
    rows[i] = { custom.name, table.concat(reads, ", "), custom.why }
  end
  page[#page + 1] = { columns = { "custom", "reads", "why" }, rows = rows }
end

-- ---- as Markdown ----

local function cell(text) return (text:gsub("|", "\\|"):gsub("[\r\n]+", " ")) end

local function markdown(blocks)
  local out = {}
  local function put(text) out[#out + 1] = text end
  for _, block in ipairs(blocks) do
    if block.heading then
      put(("#"):rep(block.level) .. " " .. block.heading)
    elseif block.text then
      put(block.text)
    elseif block.mermaid then
      put("```mermaid\n" .. block.mermaid .. "\n```")
    elseif block.list then
      local lines = {}
      for i, line in ipairs(block.list) do
        lines[i] = ("  "):rep(line[1]) .. "- " .. line[2]
      end
      put(table.concat(lines, "\n"))
    else
      local lines, rule = { "| " .. table.concat(block.columns, " | ") .. " |" }, {}
      for i in ipairs(block.columns) do
        rule[i] = "---"
      end
      lines[2] = "| " .. table.concat(rule, " | ") .. " |"
      for i, row in ipairs(block.rows) do
        local cells = {}
        for j, text in ipairs(row) do
          cells[j] = cell(text)
        end
        lines[i + 2] = "| " .. table.concat(cells, " | ") .. " |"
      end
      put(table.concat(lines, "\n"))
    end
  end
  return table.concat(out, "\n\n") .. "\n"
end

-- ---- as HTML ----

local STYLE = [[
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 80em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .6em 0 1.4em; } th, td { padding: .25em .8em; text-align: left; vertical-align: top;
border-bottom: 1px solid #ddd; } td:last-child { color: #777; font-size: 85%; } pre { background: #f6f6f6; padding: .8em; overflow: auto; }
]]

local function escape(text)
  local marks = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
  return (tostring(text):gsub('[&<>"]', marks))
end

local function html_list(list)
  local out, depth = {}, -1
  for _, line in ipairs(list) do
    while depth < line[1] do
      out[#out + 1], depth = "<ul>", depth + 1
    end
    while depth > line[1] do
      out[#out + 1], depth = "</ul>", depth - 1
    end
    out[#out + 1] = "<li>" .. escape(line[2]) .. "</li>"
  end
  out[#out + 1] = ("</ul>"):rep(depth + 1)
  return table.concat(out)
end

local function html_row(tag, cells)
  local out = { "<tr>" }
  for _, text in ipairs(cells) do
    out[#out + 1] = ("<%s>%s</%s>"):format(tag, escape(text), tag)
  end
  out[#out + 1] = "</tr>\n"
  return table.concat(out)
end

local function html(blocks)
  local out = { '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>', escape(tree.policy.name), "</title><style>\n", STYLE,
    "</style></head><body>\n" }
  for _, block in ipairs(blocks) do
    if block.heading then
      out[#out + 1] = ("<h%d>%s</h%d>\n"):format(block.level, escape(block.heading), block.level)
    elseif block.text then
      out[#out + 1] = "<p>" .. escape(block.text) .. "</p>\n"
    elseif block.mermaid then
      out[#out + 1] = '<pre class="mermaid">' .. escape(block.mermaid) .. "</pre>\n"
    elseif block.list then
      out[#out + 1] = html_list(block.list) .. "\n"
    else
      out[#out + 1] = "<table>" .. html_row("th", block.columns)
      for _, row in ipairs(block.rows) do
        out[#out + 1] = html_row("td", row)
      end
      out[#out + 1] = "</table>\n"
    end
  end
  out[#out + 1] = "</body></html>\n"
  return table.concat(out)
end

--- ask {version, signals, html = bool} -> {text}.
return function(input)
  outline.load(input)
  page, seen = {}, {}
  add_head(input.ask)
  add_eligible()
  add_belief()
  add_scores()
  add_journey()
  add_routes()
  add_actions()
  add_others()
  return { text = input.ask.html and html(page) or markdown(page) }
end
