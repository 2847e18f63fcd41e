-- The smallest parts of JSON: white space, texts, numbers and words, as RFC 8259 and Python's reader have them.
-- Every search begins where the last one ended and never goes back, so a body costs by its length alone.

local EXACT_MAX = 2 ^ 53 - 1
local NORMAL_MIN = 2.2250738585072014e-308
local ALWAYS_EXACT_DIGITS = 15
-- To read a number takes time for each power of ten. A short one need not be read to be judged.
local EXPONENT_MAX = 30
local SHORT_EXPONENT_MAX = 99
local SHORT_LENGTH_MAX = 64

local WORDS = { [102] = "false", [110] = "null", [116] = "true" }
local ESCAPES = {
  [34] = '"', [47] = "/", [92] = "\\", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t",
}

-- Where something other than white space comes next, and its first byte; nil at the end.
local function next_token(text, at)
  local first = byte(text, at)
  if first and first <= 32 then
    local _, last = find(text, "^[ \t\n\r]*", at)
    return last + 1, byte(text, last + 1)
  end
  return at, first
end

-- Where what follows the escape at `at` begins.
local function after_escape(text, at)
  local kind = byte(text, at + 1)
  if ESCAPES[kind] then
    return at + 2
  elseif kind ~= 117 or not find(text, "^%x%x%x%x", at + 2) then
    malformed(text, at, "there is no such escape")
  end
  local code = tonumber(sub(text, at + 2, at + 5), 16)
  if code < 55296 or code > 57343 then
    return at + 6
  elseif code < 56320 and find(text, "^\\u[dD][c-fC-F]%x%x", at + 6) then
    return at + 12
  end
  malformed(text, at, "this is half of a surrogate pair")
end

-- The closing quote of the text whose first character is at `at`, and whether it has escapes.
local function text_end(text, at)
  local has_escapes = false
  while true do
    local stop = find(text, '[%z\1-\31"\\]', at)
    local found = byte(text, stop or #text + 1)
    if found == 34 then
      return stop, has_escapes
    elseif found ~= 92 then
      malformed(text, stop or #text + 1, "control characters in a text must be escaped")
    end
    at, has_escapes = after_escape(text, stop), true
  end
end

local function tail_of_utf8(code, divisor)
  return 128 + math.floor(code / divisor) % 64
end

local function as_utf8(code)
  if code < 128 then
    return string.char(code)
  elseif code < 2048 then
    return string.char(192 + math.floor(code / 64), tail_of_utf8(code, 1))
  elseif code < 65536 then
    return string.char(224 + math.floor(code / 4096), tail_of_utf8(code, 64), tail_of_utf8(code, 1))
  end
  local first = 240 + math.floor(code / 262144)
  return string.char(first, tail_of_utf8(code, 4096), tail_of_utf8(code, 64), tail_of_utf8(code, 1))
end

local function hexadecimal(text, at)
  return tonumber(sub(text, at, at + 3), 16)
end

-- What the valid escapes from `at` to `last` stand for.
local function unescaped(text, at, last)
  local parts = {}
  while at <= last do
    local stop = find(text, '[\\"]', at)
    parts[#parts + 1] = sub(text, at, stop - 1)
    if stop > last then
      break
    end
    at = after_escape(text, stop)
    local size = at - stop
    if size == 2 then
      parts[#parts + 1] = ESCAPES[byte(text, stop + 1)]
    elseif size == 6 then
      parts[#parts + 1] = as_utf8(hexadecimal(text, stop + 2))
    else
      local high, low = hexadecimal(text, stop + 2), hexadecimal(text, stop + 8)
      parts[#parts + 1] = as_utf8(65536 + (high - 55296) * 1024 + low - 56320)
    end
  end
  return table.concat(parts)
end

-- What the text says whose opening quote is at `at`, and where its closing quote is.
local function text_at(text, at)
  local stop, has_escapes = text_end(text, at + 1)
  return has_escapes and unescaped(text, at + 1, stop - 1) or sub(text, at + 1, stop - 1), stop
end

-- The last character of the number at `at`.
local function number_end(text, at)
  local digit = byte(text, at) == 45 and at + 1 or at
  local _, last = find(text, "^%d+", digit)
  if not last or byte(text, digit) == 48 and last > digit then
    malformed(text, digit, last and "a number must not begin with 0" or "digits must follow the sign of a number")
  end
  if byte(text, last + 1) == 46 then
    local _, fraction = find(text, "^%d+", last + 2)
    last = fraction or malformed(text, last + 2, "digits must follow the point of a number")
  end
  local letter = byte(text, last + 1)
  if letter == 69 or letter == 101 then
    local _, power = find(text, "^[+-]?%d+", last + 2)
    last = power or malformed(text, last + 2, "digits must follow the exponent of a number")
  end
  return last
end

-- The digits of a number without zeros at either end.
local function significant(written)
  local mantissa = sub(written, 1, (find(written, "[eE]") or 0) - 1)
  local digits = mantissa:gsub("[-.]", "")
  local first, last = find(digits, "[1-9]"), #digits
  if not first then
    return ""
  end
  while byte(digits, last) == 48 do
    last = last - 1
  end
  return sub(digits, first, last)
end

-- Whether the number comes back with its digits: answers print 15 of a double or, where those mean another, 17.
local function is_exact(written)
  local letter = find(written, "[eE]")
  local exponent = letter and tonumber(sub(written, letter + 1)) or 0
  local digits = significant(written)
  local whole = (find(written, ".", 1, true) or letter or #written + 1) - 1
  local is_short = #digits <= ALWAYS_EXACT_DIGITS and #written <= SHORT_LENGTH_MAX
  if digits == "" or is_short and exponent >= -SHORT_EXPONENT_MAX and whole + exponent <= ALWAYS_EXACT_DIGITS then
    return true
  elseif math.abs(exponent) > EXPONENT_MAX then
    return false
  end
  local value = tonumber(written)
  local printed = format("%.14e", value)
  if tonumber(printed) ~= value then
    printed = format("%.16e", value)
  end
  return math.abs(value) <= EXACT_MAX and math.abs(value) >= NORMAL_MIN and significant(printed) == digits
end

-- The first byte that is not UTF-8.
local function not_utf8(text)
  local at = find(text, "[\128-\255]")
  while at do
    local first, second = byte(text, at, at + 1)
    local more = first < 224 and 1 or first < 240 and 2 or 3
    local low = first == 224 and 160 or first == 240 and 144 or 128
    local high = first == 237 and 159 or first == 244 and 143 or 191
    if first < 194 or first > 244 or not second or second < low or second > high then
      return at
    end
    for offset = 2, more do
      local following = byte(text, at + offset)
      if not following or following < 128 or following > 191 then
        return at
      end
    end
    at = at + more + 1
    if (byte(text, at) or 0) < 128 then
      at = find(text, "[\128-\255]", at)
    end
  end
end
