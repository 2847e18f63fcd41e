-- Reads a body once, before the transcoder, which would drop or bend what it does not expect. The first fault goes to
-- the service in a header, because only the service knows who asks, and the body becomes `{}`.

local FAULT = "x-reelgate-body-fault"
local CONTENT_TYPE = "x-reelgate-content-type"
local TYPE_LENGTH_MAX = 64
local EMPTY = "{}"
local BYTE_ORDER_MARK = "\239\187\191"
local CODINGS = { ["x-gzip"] = "gzip", br = "br", deflate = "deflate", gzip = "gzip", zstd = "zstd" }
local TYPES = {
  { "application/grpc", "gRPC" },
  { "application/x-www-form-urlencoded", "form" },
  { "application/xml", "xml" },
  { "multipart/", "multipart" },
  { "text/xml", "xml" },
  { "text/", "text" },
}
-- What other formats begin with.
local MAGIC = {
  { "\31\139", "gzip" },
  { "\40\181\47\253", "zstd" },
  { "\120\1", "deflate" },
  { "\120\156", "deflate" },
  { "\120\218", "deflate" },
  { "\255\254\0\0", "utf-32" },
  { "\0\0\254\255", "utf-32" },
  { "\255\254", "utf-16" },
  { "\254\255", "utf-16" },
}

local function begins(text, words)
  return sub(text, 1, #words) == words
end

-- What the body is by its content type; nil if that is JSON's or none.
local function other_type(content_type)
  local kind = sub(content_type, 1, TYPE_LENGTH_MAX):lower()
  if kind == "" or find(kind, "json", 1, true) then
    return nil
  end
  for _, each in ipairs(TYPES) do
    if begins(kind, each[1]) then
      return each[2]
    end
  end
  return "other"
end

-- Texts of 16 or 32 bits begin with a character of ASCII, the other bytes of which are zero.
local function wide(text)
  local first, second, third, fourth = byte(text, 1, 4)
  if first == 0 and second == 0 and third == 0 and fourth ~= 0 or second == 0 and third == 0 and fourth == 0 and first ~= 0 then
    return fourth and "utf-32" or "utf-16"
  end
  return (first == 0) ~= (second == 0) and "utf-16" or nil
end

-- What the body is if it is not JSON, as far as its headers and first bytes tell; nil if it may be.
local function other_format(text, content_type, coding)
  if coding ~= "" and coding:lower() ~= "identity" then
    return CODINGS[coding:lower()] or "other"
  end
  for _, each in ipairs(MAGIC) do
    if begins(text, each[1]) then
      return each[2]
    end
  end
  local kind = other_type(content_type)
  if kind == "gRPC" then
    return kind
  end
  local found = wide(text)
  -- Many clients call JSON something else, so its first character counts for more.
  local _, first = next_token(text, 1)
  return found or first ~= 123 and first ~= 91 and kind or nil
end

-- Ends with an error that holds the fault, if there is one.
local function read(text, at, shape)
  local first
  at, first = next_token(text, at)
  local kind = KINDS[first] or malformed(text, at, "a value must stand here")
  if kind ~= "object" then
    refuse("not_an_object", "an object", shown(text, at, kind))
  end
  local rest = next_token(text, READERS.object(text, at, { shape = shape }, 0))
  if rest <= #text then
    malformed(text, rest, "nothing may follow the object")
  end
end

local function check(text, shape, content_type, coding)
  path, depth, message = {}, 0, shape.name
  local at = begins(text, BYTE_ORDER_MARK) and #BYTE_ORDER_MARK + 1 or 1
  local start, first = next_token(text, at)
  if not first or first == 110 and sub(text, start, start + 3) == "null" and next_token(text, start + 4) > #text then
    return EMPTY
  end
  local format_found = other_format(sub(text, at), content_type, coding)
  if format_found then
    refuse("not_json", "", format_found)
  end
  local bad = not_utf8(text)
  if bad then
    malformed(text, bad, "this is not UTF-8")
  end
  read(text, at, shape)
  return at > 1 and sub(text, at) or text
end

function envoy_on_request(handle)
  local shape = SHAPES[handle:filterContext():get("message")]
  local headers = handle:headers()
  local content_type, coding = headers:get(CONTENT_TYPE) or "", headers:get("content-encoding") or ""
  local body = handle:body()  -- waits: objects taken before are dead now
  if not body then
    return
  end
  local text = body:getBytes(0, body:length())
  local is_read, found = pcall(check, text, shape, content_type, coding)
  if not is_read and not found.fault then
    error(found, 0)
  end
  if not is_read then
    handle:headers():replace(FAULT, found.fault)
  end
  local passed = is_read and found or EMPTY
  if passed ~= text then
    body:setBytes(passed)
  end
end
