-- Puts the error envelope of the customer's contract in place. Runs only for refusals: 4xx, 5xx and answers in gRPC.
-- Texts of Envoy's own replies stand inside JSON already, so what is cut out of them is still escaped.
-- They quote what the sender wrote, at its length: whatever is read here is a cut, its first or its last bytes.

local HEAD_BYTES = 256
local TAIL_BYTES = 64
local VALUE_LENGTH_MAX = 100
local NAME_LENGTH_MAX = 64
local NEXTAPI_PATH = "/v1/video/generations"
local SEEDANCEE2_PATHS = { "/v1/models", "/v1/usage", "/v1/videos" }
local REFUSED = '{"error":{"code":"invalid_request","message":"'
local ENDINGS = { '","type":"invalid_request_error"}}', '"}}' }
local KINDS = {
  TYPE_BOOL = "true or false",
  TYPE_DOUBLE = "a number",
  TYPE_INT32 = "a whole number",
  TYPE_STRING = "a text",
}

-- Patterns backtrack. They run here and nowhere else, so that none ever meets more than a cut.
local function matched(cut, pattern)
  return cut:sub(1, HEAD_BYTES):match(pattern)
end

local function begins(text, words)
  return text:sub(1, #words) == words
end

local function ends(text, words)
  return text:sub(-#words) == words
end

-- What stands before the first `words`, and what stands after them.
local function divided(text, words)
  local first, last = text:find(words, 1, true)
  if first then
    return text:sub(1, first - 1), text:sub(last + 1)
  end
end

local function envelope(code, message, kind)
  local typed = kind and ',"type":"' .. kind .. '"' or ""
  return '{"error":{"code":"' .. code .. '","message":"' .. message .. '"' .. typed .. "}}"
end

local function unexpected_object(said)
  local parent, after = divided(said.head, ": invalid value Starting an object on a scalar field for type ")
  local name = after and said.is_whole and matched(after, "^[%w_]+$")
  if name then
    return "Field " .. (parent == "" and name or parent .. "." .. name) .. " must not be an object."
  end
end

local function repeated(said)
  local _, after = divided(said.head, ": invalid value ")
  local name = after and begins(after, "oneof field ") and matched(said.tail, "Cannot set '([%w_]+)' for type oneof$")
  if name then
    return "Field " .. name .. " is given more than once."
  end
end

local function wrong_value(said)
  local field, after = divided(said.head, ": invalid value ")
  local kind = after and matched(said.tail, " for type ([%w_./]+)$")
  if not kind then
    return
  end
  local value = said.is_whole and after:sub(1, -#" for type " - #kind - 1)
  if not value or #value > VALUE_LENGTH_MAX then
    return "Field " .. field .. " must be " .. (KINDS[kind] or "an object") .. "."
  end
  local is_whole_number = kind == "TYPE_INT32" and matched(value, '^\\?"?%-?%d+\\?"?$')
  local rule = is_whole_number and "is out of range" or "must be " .. (KINDS[kind] or "an object")
  return "Field " .. field .. " " .. rule .. ". It was " .. value .. "."
end

local function unexpected_list(said)
  local parent = divided(said.head, ": ")
  if parent and ends(said.tail, ": Proto field is not repeating, cannot start list.") then
    return "A field of " .. (parent == "" and "the request" or parent) .. " is a list where one value is expected."
  end
end

-- Envoy's reason, a line break as JSON writes it, what it read, and a `^` below.
local function malformed(said)
  local reason = divided(said.head, "\\n") or divided(said.head, "\\u")
  if reason and ends(said.tail, "^") then
    return "The request body is not valid JSON. " .. reason
  end
end

-- The first of these parameters that `rule` does not list and that can be shown.
local function unknown_name(path, rule)
  local _, left = divided(path:sub(1, HEAD_BYTES), "?")
  while left and left ~= "" do
    local parameter, others = divided(left, "&")
    if not parameter and #path > HEAD_BYTES then
      return
    end
    local name = matched(parameter or left, "^[%w_.%-]+")
    local whole = name and divided((parameter or left) .. "=", "=") == name and #name <= NAME_LENGTH_MAX
    if whole and not (rule .. ","):find(" " .. name .. ",", 1, true) then
      return name
    end
    left = others
  end
end

local function unknown_parameter(said, request)
  local _, after = divided(said.head, "Unknown query parameter. ")
  if not (after and said.is_whole and begins(said.head, "Unknown query parameter. ")) then
    return
  end
  local rule = after:sub(1, -2)
  local name = unknown_name(request:get(":path"), rule)
  return "Unknown query parameter" .. (name and ' \\"' .. name .. '\\"' or "") .. ". " .. rule .. "."
end

local function fixed(said)
  if ends(said.tail, "Root element must be a message.") then
    return "The request body must be a JSON object."
  elseif begins(said.head, "Message too deep") then
    return "The request body is nested too deeply."
  elseif begins(said.head, "Encountered non UTF-8") then
    return "The request body is not valid UTF-8."
  elseif begins(said.head, "The binding value ") or begins(said.head, "A GET request takes no body.") then
    return "A GET request takes no body."
  end
end

-- How a customer is told what Envoy says. The first that knows it answers.
local REWRITES = { unexpected_object, repeated, wrong_value, unexpected_list, fixed, malformed, unknown_parameter }

local function told(said, request)
  for _, rewrite in ipairs(REWRITES) do
    local sentence = rewrite(said, request)
    if sentence then
      return sentence
    end
  end
  return "The request is not valid."
end

local function is_below(path, root)
  local following = path:sub(#root + 1, #root + 1)
  return begins(path, root) and (following == "" or following == "/" or following == "?")
end

-- As `presented_key` reads a call.
local function has_nextapi_key(request)
  local authorization = request:get("authorization")
  local key = authorization and matched(authorization, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)")
  if not authorization then
    key = matched(request:get("x-api-key") or "", "^ *(.*)")
  end
  return key and (begins(key, "nxa_live_sk_") or begins(key, "nxa_test_sk_"))
end

-- As in envelopes.py. The transcoder has put its own path over the customer's.
local function is_nextapi(request)
  local path = request and (request:get("x-envoy-original-path") or request:get(":path")) or ""
  for _, root in ipairs(SEEDANCEE2_PATHS) do
    if is_below(path, root) then
      return false
    end
  end
  return is_below(path, NEXTAPI_PATH) or request ~= nil and has_nextapi_key(request)
end

-- The cuts of the message in a refusal of Envoy's own, and whether the head is all of it; nil for other bodies.
local function said_by_envoy(body)
  local size = body:length()
  local last = size > 0 and body:getBytes(size - 1, 1) == "\n" and size - 1 or size
  local function bytes(first, stop)
    return first < stop and body:getBytes(first, stop - first) or ""
  end
  if bytes(0, math.min(#REFUSED, last)) ~= REFUSED then
    return
  end
  for _, ending in ipairs(ENDINGS) do
    local stop = last - #ending
    if stop >= #REFUSED and bytes(stop, last) == ending then
      return {
        head = bytes(#REFUSED, math.min(stop, #REFUSED + HEAD_BYTES)),
        tail = bytes(math.max(#REFUSED, stop - TAIL_BYTES), stop),
        is_whole = stop - #REFUSED <= HEAD_BYTES,
      }
    end
  end
end

local function clean(headers)
  headers:remove("cache-control")
  headers:remove("x-api-error-bin")
  headers:remove("x-api-raw")
  headers:remove("x-api-status")
  headers:replace("content-type", "application/json")
end

function envoy_on_response(handle)
  local request = handle:requestHeaders()
  if request and request:get(":method") == "HEAD" then
    clean(handle:headers())
    return
  end
  local body = handle:body(true)  -- waits: objects taken before are dead now
  local trailers = handle:trailers()
  local headers = handle:headers()
  local finished = headers:get("x-api-error-bin") or trailers and trailers:get("x-api-error-bin")
  local status = headers:get("x-api-status") or trailers and trailers:get("x-api-status")
  local current = headers:get(":status")
  local json = finished and handle:base64Decode(finished)
  local said = not json and headers:get("x-api-raw") and said_by_envoy(body)
  request = handle:requestHeaders()
  local kind = not is_nextapi(request) and "invalid_request_error" or nil
  if json then
    headers:replace(":status", status)
  elseif current == "200" then
    headers:replace(":status", "415")
    json = envelope("invalid_request", "Send JSON. gRPC is not spoken here.", kind)
  elseif said then
    json = envelope("invalid_request", told(said, request), kind)
  elseif body:length() < 10 or body:getBytes(0, 10) ~= '{"error":{' then
    -- Not a refusal of ours but of gRPC itself, which says 429 when too many calls run at once.
    json = envelope("internal_error", "Unexpected server error.", kind and "api_error")
    if current < "500" then
      headers:replace(":status", "503")
    end
  end
  clean(headers)
  if json then
    handle:body(true):setBytes(json)
  end
end
