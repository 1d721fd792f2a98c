-- Every account of a request at once, each the hash of one window: `spent` and `claimed` of all gateways, `debt`, and a
-- field per gateway with what it said last, as `number:spent:claim`.
-- Amounts are pairs of base 1e12, since Lua's numbers are exact up to 2^53 only.
local function read(text) return {tonumber(string.sub(text, 1, -13)) or 0, tonumber(string.sub(text, -12)) or 0} end
local function write(a) return string.format('%.0f%012.0f', a[1], a[2]) end
local function less(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end
local function plus(a, b)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= 1e12 then return {high + 1, low - 1e12} end
  return {high, low}
end
local function minus(a, b)
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then return {high - 1, low + 1e12} end
  return {high, low}
end
-- The generation changes when the store has lost its data. Then nothing is granted for a while, in which every gateway says
-- anew what it spent and claimed; a gateway that has more to say begins that while again.
local now = redis.call('TIME')
local millis = now[1] * 1000 + math.floor(now[2] / 1000)
local generation, settles = string.match(redis.call('GET', KEYS[1]) or '', '^(.+):(%d+)$')
settles = tonumber(settles)
if not generation or (settles > millis and ARGV[2] ~= '0') then
  generation = generation or ARGV[1] .. string.format('.%.0f', millis)
  settles = millis + tonumber(ARGV[3])
  redis.call('SET', KEYS[1], generation .. string.format(':%.0f', settles))
end
local grants = settles <= millis
local out = {generation, grants and '1' or '0'}
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 8
  local field, number = ARGV[at + 1], ARGV[at + 2]
  local kept = redis.call('HMGET', KEYS[i], field, 'spent', 'claimed', 'debt')
  local last, spent, claim = string.match(kept[1] or '0:0:0', '(%d+):(%d+):(%d+)')
  spent, claim = read(spent), read(claim)
  local all, claimed, debt = read(kept[2] or '0'), read(kept[3] or '0'), read(kept[4] or '0')
  if tonumber(number) > tonumber(last) then
    local own, have, want, owed = read(ARGV[at + 3]), read(ARGV[at + 4]), read(ARGV[at + 5]), read(ARGV[at + 7])
    if less(debt, owed) then debt = owed end
    all = plus(minus(all, spent), own)
    local given = claim
    if less(given, have) then given = have end
    claimed = plus(minus(claimed, claim), given)
    local target = given
    if less(want, given) then
      target = want
    elseif ARGV[at + 6] == '-' then
      target = want
    elseif grants then
      local taken, limit = plus(claimed, debt), read(ARGV[at + 6])
      if less(taken, limit) then
        target = plus(given, minus(limit, taken))
        if less(want, target) then target = want end
      end
    end
    claimed = plus(minus(claimed, given), target)
    last, spent, claim = number, own, target
    redis.call('HSET', KEYS[i], field, number .. ':' .. write(own) .. ':' .. write(target),
      'spent', write(all), 'claimed', write(claimed), 'debt', write(debt))
    redis.call('EXPIREAT', KEYS[i], ARGV[at + 8])
  end
  out[#out + 1] = last .. ' ' .. write(claim) .. ' ' .. write(minus(all, spent)) .. ' '
    .. write(minus(claimed, claim)) .. ' ' .. write(debt)
end
return table.concat(out, ' ')
