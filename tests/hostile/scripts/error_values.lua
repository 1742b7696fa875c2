-- Errors of the host caught and looked at.
-- ends: contained
return function(view)
  local function inner() return view.x.y.z end
  local tries = {
    inner, function() return {} .. {} end, function() return #nil end, function() return {} < {} end, function() return ('x').y.z end,
    function() string.rep() end, function() error() end, function() ('x'):gsub('x', {}, 'y') end, function() require(1) end,
    function() math.floor({}) end, function() local s = 'x' s.y = 1 end, function() for i = 1, 'x' do end end,
    function() return select(0) end, function() tonumber('z', 99) end, function() pairs(nil) end, function() unpack() end,
  }
  for i, try in ipairs(tries) do
    local ok, raised = pcall(try)
    local kind = type(raised)
    if ok or (kind ~= 'string' and kind ~= 'nil') then error('ESCAPED by ' .. i .. ' ' .. kind) end
    if kind == 'string' and raised:find('0x') then error('ESCAPED: ' .. raised) end
  end
  error 'contained'
end
