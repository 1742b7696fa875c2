-- Addresses would differ between runs, and help an attacker.
-- ends: contained
return function(view)
  local texts = { tostring({}), tostring(tostring), tostring(function() end), tostring(string), tostring(view),
    string.format('%s %q', {}, 'x'), string.format('%s', math.abs), string.format('%20s|%-20s', {}, pairs) }
  for _, text in ipairs(texts) do
    if text:find('%x%x%x%x%x%x') then error('ESCAPED: ' .. text) end
  end
  if pcall(string.format, '%p', {}) or pcall(table.concat, { {} }) or pcall(string.rep, {}, 2) then error('ESCAPED') end
  error 'contained'
end
