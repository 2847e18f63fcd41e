-- A body against the message it becomes. MESSAGES and LEVELS_MAX are written above, from the contract (strict.py).

local INT32_MAX = 2 ^ 31 - 1
local FIELDS = {
  boolean = { json = "boolean", wanted = "true or false" },
  object = { json = "object", wanted = "an object" },
  text = { json = "text", wanted = "a text" },
  texts = { json = "list", wanted = "a list of texts", item = { json = "text", wanted = "a text" } },
  whole = { json = "number", wanted = "a whole number" },
}
local SHOWN = { list = "a list", null = "null", object = "an object" }
-- What a value is, by its first byte.
local KINDS = { [34] = "text", [45] = "number", [91] = "list", [102] = "boolean", [110] = "null", [116] = "boolean", [123] = "object" }
for digit = 48, 57 do
  KINDS[digit] = "number"
end

local SHAPES = {}
for name in pairs(MESSAGES) do
  SHAPES[name] = { name = name, fields = {} }
end
for name, fields in pairs(MESSAGES) do
  for field, kind in pairs(fields) do
    SHAPES[name].fields[field] = FIELDS[kind] or { json = "object", wanted = "an object", shape = SHAPES[kind] }
  end
end

local READERS = {}

local function shown(text, at, kind)
  if kind == "text" then
    return 'the text \\"' .. escaped(text_at(text, at), SHOWN_BYTES_MAX, NAME_LENGTH_MAX) .. '\\"'
  elseif kind == "number" then
    return "the number " .. escaped(sub(text, at, number_end(text, at)), SHOWN_BYTES_MAX, NAME_LENGTH_MAX)
  elseif kind == "boolean" then
    READERS.boolean(text, at)
  end
  return SHOWN[kind] or WORDS[byte(text, at)]
end

-- Reads the value at `at` and returns where what follows begins. Without a field it is free JSON, `level` deep.
local function value(text, at, field, level)
  local kind = KINDS[byte(text, at)] or malformed(text, at, "a value must stand here")
  if field and kind ~= field.json and kind ~= "null" then
    refuse("wrong_type", field.wanted, shown(text, at, kind))
  elseif level > LEVELS_MAX and (kind == "object" or kind == "list") then
    refuse("too_deep", "at most " .. LEVELS_MAX .. " levels", "", depth - LEVELS_MAX)
  end
  return READERS[kind](text, at, field, level)
end

function READERS.text(text, at)
  return text_end(text, at + 1) + 1
end

function READERS.boolean(text, at)
  local word = WORDS[byte(text, at)]
  if sub(text, at, at + #word - 1) ~= word then
    malformed(text, at, "a value must stand here")
  end
  return at + #word
end

READERS.null = READERS.boolean

function READERS.number(text, at, field)
  local last = number_end(text, at)
  local written = sub(text, at, last)
  local exact = #written <= ALWAYS_EXACT_DIGITS and not find(written, "[eE]") or is_exact(written)
  if not field and not exact then
    refuse("inexact_number", "", shown(text, at, "number"))
  elseif field then
    local read = tonumber(written)
    if read > INT32_MAX or read < -INT32_MAX - 1 then
      refuse("out_of_range", "a whole number from -2147483648 to 2147483647", shown(text, at, "number"))
    elseif read % 1 ~= 0 or not exact then
      refuse("wrong_type", field.wanted, shown(text, at, "number"))
    end
  end
  return last + 1
end

function READERS.list(text, at, field, level)
  local first
  at, first = next_token(text, at + 1)
  if first == 93 then
    return at + 1
  end
  depth = depth + 1
  local index = 0
  while true do
    path[depth] = index
    if field and first == 110 then
      READERS.null(text, at)
      refuse("null_item", field.item.wanted, "null")
    end
    at, first = next_token(text, value(text, at, field and field.item, level + 1))
    if first == 93 then
      depth = depth - 1
      return at + 1
    elseif first ~= 44 then
      malformed(text, at, "a comma or ] must stand here")
    end
    at, first = next_token(text, at + 1)
    index = index + 1
  end
end

-- Reads the name at `at` and what must follow it. Returns where its value begins, and its field.
local function member(text, at, shape, seen)
  if byte(text, at) ~= 34 then
    malformed(text, at, "a name in double quotes must stand here")
  end
  local name, stop = text_at(text, at)
  path[depth] = name
  local field = shape and shape.fields[name]
  if shape and not field then
    refuse("unknown_field", "", "")
  elseif seen[name] then
    refuse("repeated_field", "", "")
  end
  seen[name] = true
  local colon, found = next_token(text, stop + 1)
  if found ~= 58 then
    malformed(text, colon, "a colon must stand here")
  end
  return next_token(text, colon + 1), field
end

local function members(text, at, shape, level)
  local first
  at, first = next_token(text, at + 1)
  if first == 125 then
    return at + 1
  end
  local seen, start, field = {}, nil, nil
  depth = depth + 1
  while true do
    start, field = member(text, at, shape, seen)
    at, first = next_token(text, value(text, start, field, shape and 1 or level + 1))
    if first == 125 then
      depth = depth - 1
      return at + 1
    elseif first ~= 44 then
      malformed(text, at, "a comma or } must stand here")
    end
    at = next_token(text, at + 1)
  end
end

function READERS.object(text, at, field, level)
  local shape, around = field and field.shape, message
  message = shape and shape.name or around
  local following = members(text, at, shape, level)
  message = around
  return following
end
