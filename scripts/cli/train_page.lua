--- report.html of intent train: the report (core/cli/train_report.c) as one page that needs nothing else, with its plots as
--- SVG.
local COLOURS = { profile = "#b35806", behaviour = "#2166ac", both = "#1b7837" }
local NAMES = {
  { "auc", "AUC", 3 },
  { "average_precision", "average precision", 3 },
  { "log_loss", "log loss", 4 },
  { "brier", "Brier", 4 },
  { "calibration_error", "calibration error", 4 },
  { "lift_10", "lift of the first tenth", 2 },
  { "gain_20", "share won in the first fifth", 3 },
}
local STYLE = [[
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 72em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .6em 0 1.4em; } th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; font-weight: 600; padding: .3em 0; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5em; } figure { margin: 0; } figcaption { font-weight: 600; }
.interval { color: #777; font-size: 85%; white-space: nowrap; } .written { background: #eef6ee; } code { font-size: 90%; }
svg text { font: 11px system-ui, sans-serif; fill: #444; } dt { font-weight: 600; } dd { margin: 0 0 .4em 1.5em; }
]]

local function escape(text)
  local marks = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
  return (tostring(text):gsub('[&<>"]', marks))
end

local function number(x, digits) return x and ("%." .. digits .. "f"):format(x) or "–" end

-- 12345 -> 12,345
local function count(n)
  local text = ("%.0f"):format(n)
  local changed
  repeat
    text, changed = text:gsub("^(-?%d+)(%d%d%d)", "%1,%2")
  until changed == 0
  return text
end

local function table_of(caption, heads, rows)
  local out = { "<table><caption>", escape(caption), "</caption><tr>" }
  for _, head in ipairs(heads) do
    out[#out + 1] = "<th>" .. escape(head) .. "</th>"
  end
  out[#out + 1] = "</tr>\n"
  for _, row in ipairs(rows) do
    out[#out + 1] = "<tr>"
    for _, cell in ipairs(row) do
      out[#out + 1] = "<td>" .. cell .. "</td>"
    end
    out[#out + 1] = "</tr>\n"
  end
  out[#out + 1] = "</table>\n"
  return table.concat(out)
end

local function with_interval(m, digits)
  if not m.value then return "–" end
  local text = number(m.value, digits)
  if not m.low then return text end
  return ('%s <span class="interval">%s to %s</span>'):format(text, number(m.low, digits), number(m.high, digits))
end

-- ---- plots ----
local LEFT, TOP, SIDE = 42, 8, 260

local function x_of(plot, x) return LEFT + SIDE * x / plot.x_max end
local function y_of(plot, y) return TOP + SIDE * (1 - y / plot.y_max) end

-- 1, 2 or 5 times a power of ten, of which at most five and a half fit: more marks than that run into each other.
local function step_of(max)
  local step, n = 1e-6, 0
  while max / step > 5.5 do
    step = step * (n % 3 == 1 and 2.5 or 2)
    n = n + 1
  end
  return step
end

local function axes(plot)
  local out = {}
  local function text(x, y, anchor, what)
    out[#out + 1] = ('<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>'):format(x, y, anchor, escape(what))
  end
  out[#out + 1] = ('<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#bbb"/>'):format(LEFT, TOP, SIDE, SIDE)
  for i = 0, 100 do
    local x = i * step_of(plot.x_max)
    if x > plot.x_max * 1.001 then break end
    text(x_of(plot, x), TOP + SIDE + 14, "middle", ("%g"):format(x))
  end
  for i = 0, 100 do
    local y = i * step_of(plot.y_max)
    if y > plot.y_max * 1.001 then break end
    text(LEFT - 5, y_of(plot, y) + 4, "end", ("%g"):format(y))
    out[#out + 1] = ('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#eee"/>'):format(LEFT, LEFT + SIDE, y_of(plot, y), y_of(plot, y))
  end
  text(LEFT + SIDE / 2, TOP + SIDE + 30, "middle", plot.x_name)
  return table.concat(out)
end

local function line(plot, points, colour, more)
  local out = {}
  for i, p in ipairs(points) do
    out[i] = ("%.1f,%.1f"):format(x_of(plot, p[1]), y_of(plot, p[2]))
  end
  return ('<polyline points="%s" fill="none" stroke="%s" %s/>'):format(table.concat(out, " "), colour, more or 'stroke-width="2"')
end

local function figure(plot, name, parts)
  return ('<figure><figcaption>%s</figcaption><svg width="%d" height="%d" role="img" aria-label="%s">%s%s</svg></figure>\n'):format(
    escape(name),
    LEFT + SIDE + 14,
    TOP + SIDE + 36,
    escape(name),
    axes(plot),
    table.concat(parts)
  )
end

local function diagonal(plot, to) return line(plot, { { 0, 0 }, { plot.x_max, to } }, "#999", 'stroke-dasharray="4 3"') end

local function roc(report)
  local plot = { x_max = 1, y_max = 1, x_name = "share of the others that stand above" }
  local parts = { diagonal(plot, 1) }
  for _, m in ipairs(report.models) do
    parts[#parts + 1] = line(plot, m.roc, COLOURS[m.group])
  end
  return figure(plot, "ROC: share of the won that stand above", parts)
end

local function gain(report)
  local plot = { x_max = 1, y_max = 1, x_name = "share of rows, the highest first" }
  local parts = { diagonal(plot, 1) }
  for _, m in ipairs(report.models) do
    local points = { { 0, 0 } }
    for i, b in ipairs(m.tenths) do
      points[#points + 1] = { i / #m.tenths, b.gain or 0 }
    end
    parts[#parts + 1] = line(plot, points, COLOURS[m.group])
  end
  return figure(plot, "Gain: share of the won so far", parts)
end

local function calibration(report)
  local most = 0.05
  for _, m in ipairs(report.models) do
    for _, b in ipairs(m.tenths) do
      most = math.max(most, b.probability or 0, b.high or 0)
    end
  end
  local plot = { x_max = most, y_max = most, x_name = "probability that was said (tenths of the rows)" }
  local parts = { diagonal(plot, most) }
  for _, m in ipairs(report.models) do
    local points = {}
    for _, b in ipairs(m.tenths) do
      if b.probability then
        points[#points + 1] = { b.probability, b.rate }
        parts[#parts + 1] = line(plot, { { b.probability, b.low }, { b.probability, b.high } }, COLOURS[m.group], 'stroke-opacity=".4"')
      end
    end
    parts[#parts + 1] = line(plot, points, COLOURS[m.group])
  end
  return figure(plot, "Calibration: share that came, with 95 %", parts)
end

local function lift(report)
  local most = 1
  for _, m in ipairs(report.models) do
    for _, b in ipairs(m.tenths) do
      most = math.max(most, b.lift or 0)
    end
  end
  local plot = { x_max = 10, y_max = most * 1.05, x_name = "tenth of the rows, the highest first" }
  local parts = { line(plot, { { 0, 1 }, { 10, 1 } }, "#999", 'stroke-dasharray="4 3"') }
  local width = SIDE / 10 / (#report.models + 1)
  for k, m in ipairs(report.models) do
    for i, b in ipairs(m.tenths) do
      local top = y_of(plot, b.lift or 0)
      parts[#parts + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'):format(
        x_of(plot, i - 1) + (k - 0.5) * width, top, width, TOP + SIDE - top, COLOURS[m.group])
    end
  end
  return figure(plot, "Lift: times the mean", parts)
end

-- ---- tables ----
local function metrics(report)
  local heads, rows = { "" }, {}
  for i, m in ipairs(report.models) do
    heads[i + 1] = m.group .. (m.written and " (written)" or "")
  end
  for i, name in ipairs(NAMES) do
    rows[i] = { escape(name[2]) }
    for _, m in ipairs(report.models) do
      rows[i][#rows[i] + 1] = with_interval(m.metrics[name[1]], name[3])
    end
  end
  for _, key in ipairs { "features", "trees", "calibration" } do
    rows[#rows + 1] = { key }
    for _, m in ipairs(report.models) do
      rows[#rows][#rows[#rows] + 1] = escape(m[key])
    end
  end
  return table_of("On test rows; intervals of 95 % by a bootstrap over leads", heads, rows)
end

local function differences(report)
  local rows = {}
  for i, d in ipairs(report.differences) do
    rows[i] = { escape(d.group .. " minus " .. d.minus) }
    for _, name in ipairs(NAMES) do
      rows[i][#rows[i] + 1] = with_interval(d.metrics[name[1]], name[3])
    end
  end
  if #rows == 0 then return "" end
  local heads = { "" }
  for i, name in ipairs(NAMES) do
    heads[i + 1] = name[2]
  end
  return table_of("The written model against the others, on the same draws of leads", heads, rows)
end

local function parts(report)
  local rows = {}
  for i, p in ipairs(report.parts) do
    rows[i] = { escape(p.part), count(p.rows), count(p.leads), count(p.came), escape(p.from), escape(p.to) }
  end
  return table_of("Rows by time; no lead is in two parts", { "", "rows", "leads", "label 1", "from", "to" }, rows)
end

local function tenths(m)
  local rows = {}
  for i, b in ipairs(m.tenths) do
    rows[i] = {
      i,
      number(b.rows, 1),
      number(b.came, 1),
      number(b.probability, 3),
      b.rate and ('%s <span class="interval">%s to %s</span>'):format(number(b.rate, 3), number(b.low, 3), number(b.high, 3)) or "–",
      number(b.lift, 2),
      number(b.gain, 3),
    }
  end
  return table_of("By tenths, the highest first: " .. m.group, { "tenth", "rows", "label 1", "said", "was", "lift", "won so far" }, rows)
end

local function features(report)
  local rows = {}
  for i, f in ipairs(report.features) do
    rows[i] = { f.influence, escape(f.name), escape(f.class), number(f.influence, 4), "<code>" .. escape(f.definition) .. "</code>" }
  end
  table.sort(rows, function(a, b)
    if a[1] ~= b[1] then return a[1] > b[1] end
    return a[2] < b[2]
  end)
  for _, row in ipairs(rows) do
    table.remove(row, 1)
  end
  return table_of("What the written model reads: mean size of a contribution on test rows, in log-odds",
    { "feature", "class", "influence", "definition" }, rows)
end

local function left_out(report)
  local rows = {}
  for i, f in ipairs(report.left_out) do
    rows[i] = { escape(f.name), escape(f.why) }
  end
  return #rows > 0 and table_of("Left out", { "feature", "why" }, rows) or ""
end

local function facts(report)
  local d, s = report.data, report.settings
  local out = { "<dl>" }
  local function fact(name, text)
    if text ~= "" then out[#out + 1] = ("<dt>%s</dt><dd>%s</dd>"):format(escape(name), escape(text)) end
  end
  fact("label", report.target)
  fact("signals", report.signals)
  fact("rows", ("%s, sha256 %s: %s labelled, %s without a label yet"):format(d.file, d.sha256, count(d.labelled), count(d.without_label)))
  fact("left out by time", ("%s later rows of leads that began in an earlier part; %s in the gap before a part's end"):format(
    count(d.later_rows_of_earlier_leads), count(d.in_the_gap)))
  fact("columns that the set does not declare", d.undeclared_columns)
  fact("features without a column", d.features_without_column)
  fact("fed by every event, the label's too", d.fed_by_every_event)
  local how = "%s, %s: at most %d trees of depth %d, eta %g, seed %d; rows %g and columns %g a tree; %d trees without a better " ..
    "validation log loss end it"
  fact("trained", how:format(report.by, report.when, s.trees, s.depth, s.eta, s.seed, s.row_share, s.column_share, s.patience))
  fact("the engine against the library", ("%s rows, every margin equal to the bit"):format(count(report.rows_compared_with_the_engine)))
  out[#out + 1] = "</dl>\n"
  return table.concat(out)
end

local function legend(report)
  local out = {}
  for i, m in ipairs(report.models) do
    out[i] = ('<span style="color:%s">&#9632;</span> %s'):format(COLOURS[m.group], escape(m.group))
  end
  return "<p>" .. table.concat(out, " &nbsp; ") .. "</p>\n"
end

return function(report)
  local title = escape(("%s/%s: %s"):format(report.name, report.version, report.label))
  local out = {
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>', title, "</title><style>", STYLE, "</style></head><body>\n",
    "<h1>", title, "</h1>\n", metrics(report), legend(report), '<div class="plots">\n', roc(report), gain(report),
    calibration(report), lift(report), "</div>\n", differences(report), parts(report),
  }
  for _, m in ipairs(report.models) do
    out[#out + 1] = tenths(m)
  end
  out[#out + 1] = features(report) .. left_out(report) .. facts(report) .. "</body></html>\n"
  return table.concat(out)
end
