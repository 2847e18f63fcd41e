-- What is wrong with a body, as the service is told: JSON in ASCII of at most 1 KiB, in a header.

local NAME_LENGTH_MAX = 64
local SHOWN_BYTES_MAX = 200
local FIELD_BYTES_MAX = 300
local CUT = "\\u2026"

local byte, find, format, sub = string.byte, string.find, string.format, string.sub

-- Where the reader is: names and indices from the body down, how many of them count, and the message around them.
local path, depth, message = {}, 0, ""

-- The character at `at` of valid UTF-8, and where the next begins.
local function character(text, at)
  local code = byte(text, at)
  if code < 128 then
    return code, at + 1
  end
  local more = code < 224 and 1 or code < 240 and 2 or 3
  code = code % 2 ^ (6 - more)
  for offset = 1, more do
    code = code * 64 + byte(text, at + offset) % 64
  end
  return code, at + 1 + more
end

local function as_ascii(code)
  if code == 34 or code == 92 then
    return "\\" .. string.char(code)
  elseif code >= 32 and code < 127 then
    return string.char(code)
  elseif code < 65536 then
    return format("\\u%04x", code)
  end
  return format("\\u%04x\\u%04x", 55296 + math.floor((code - 65536) / 1024), 56320 + code % 1024)
end

-- What may stand between the quotes of a JSON text, cut to so many bytes and characters.
local function escaped(text, bytes_max, length_max)
  local parts, size, at = {}, 0, 1
  while at <= #text do
    local code, following = character(text, at)
    local part = as_ascii(code)
    if #parts == length_max or size + #part > bytes_max then
      parts[#parts + 1] = CUT
      break
    end
    parts[#parts + 1], size, at = part, size + #part, following
  end
  return table.concat(parts)
end

-- Such as `input.image_urls[0]`: the first `count` parts of the path.
local function place(count)
  local parts, size = {}, 0
  for index = 1, count do
    local part = path[index]
    local is_index = type(part) == "number"
    parts[index] = is_index and "[" .. part .. "]" or (index > 1 and "." or "") .. escaped(part, SHOWN_BYTES_MAX, NAME_LENGTH_MAX)
    size = size + #parts[index]
    if size > FIELD_BYTES_MAX then
      parts[index] = CUT
      break
    end
  end
  return table.concat(parts)
end

-- Ends the reading. `wanted` and `came` are ASCII that needs no escape, or are escaped already.
local function refuse(rule, wanted, came, parts_of_field)
  local name = type(path[depth]) == "string" and path[depth] or ""
  local members = {
    '{"rule":"' .. rule,
    '"message":"' .. message,
    '"field":"' .. place(parts_of_field or depth),
    '"name":"' .. escaped(name, SHOWN_BYTES_MAX, NAME_LENGTH_MAX),
    '"wanted":"' .. wanted,
    '"came":"' .. came .. '"}',
  }
  error({ fault = table.concat(members, '",') })
end

-- Columns count characters, as Python's reader does.
local function malformed(text, at, reason)
  local line, start = 1, 1
  local break_at = find(text, "\n", 1, true)
  while break_at and break_at < at do
    line, start = line + 1, break_at + 1
    break_at = find(text, "\n", start, true)
  end
  local column = 1
  for index = start, math.min(at - 1, #text) do
    local one = byte(text, index)
    column = column + ((one < 128 or one > 191) and 1 or 0)
  end
  message, depth = "", 0
  refuse("malformed", at > #text and "it ends too early" or reason, "line " .. line .. ", column " .. column)
end
