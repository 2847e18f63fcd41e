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
local WHOLE_NUMBER = " for type TYPE_INT32"

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

local function repeated(said)
  local _, after = divided(said.head, ": invalid value ")
  local name = after and begins(after, "oneof field ") and matched(said.tail, "Cannot set '([%w_]+)' for type oneof$")
  if name then
    return "Field " .. name .. " is given more than once."
  end
end

-- Of all query parameters only whole numbers can have a wrong value.
local function wrong_value(said)
  local field, after = divided(said.head, ": invalid value ")
  if not (field and ends(said.tail, WHOLE_NUMBER)) then
    return
  end
  local value = said.is_whole and after:sub(1, -#WHOLE_NUMBER - 1)
  if not value or #value > VALUE_LENGTH_MAX then
    return "Field " .. field .. " must be a whole number."
  end
  local rule = matched(value, '^\\"%-?%d+\\"$') and "is out of range" or "must be a whole number"
  return "Field " .. field .. " " .. rule .. ". It was " .. value .. "."
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

-- Of unknown length, and against the path: the routes refuse all others.
local function body_of_read(said)
  if begins(said.head, "The binding value ") or begins(said.head, "A GET request takes no body.") then
    return "A GET request takes no body."
  end
end

-- How a customer is told what Envoy says of a path and a query: bodies are for the service. The first that knows it answers.
local REWRITES = { repeated, wrong_value, body_of_read, unknown_parameter }

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
