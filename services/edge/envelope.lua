-- Puts the error envelope of the path's contract in place. Runs only for refusals: 4xx, 5xx and answers in gRPC.
-- Texts of Envoy's own replies stand inside JSON already, so what is cut out of them is still escaped.

local VALUE_LENGTH_MAX = 100
local NAME_LENGTH_MAX = 64
local KINDS = {
  TYPE_BOOL = "true or false",
  TYPE_DOUBLE = "a number",
  TYPE_INT32 = "a whole number",
  TYPE_STRING = "a text",
}

local function envelope(code, message, kind)
  return '{"error":{"code":"' .. code .. '","message":"' .. message .. '","type":"' .. kind .. '"}}'
end

local function wrong_value(field, value, kind)
  local rule = "must be " .. (KINDS[kind] or "an object")
  if kind == "TYPE_INT32" and value:match('^\\?"?%-?%d+\\?"?$') then
    rule = "is out of range"
  end
  local shown = #value <= VALUE_LENGTH_MAX and " It was " .. value .. "." or ""
  return "Field " .. field .. " " .. rule .. "." .. shown
end

local function unexpected_object(parent, name)
  return "Field " .. (parent == "" and name or parent .. "." .. name) .. " must not be an object."
end

local function unexpected_list(parent)
  return "A field of " .. (parent == "" and "the request" or parent) .. " is a list where one value is expected."
end

local function repeated(name)
  return "Field " .. name .. " is given more than once."
end

local function malformed(reason)
  return "The request body is not valid JSON. " .. reason
end

local function unknown_parameter(rule, _, _, request)
  local query = request:get(":path"):match("%?(.*)") or ""
  for name in query:gmatch("&?([^&=]+)[^&]*") do
    local is_known = (rule .. ","):find(" " .. name .. ",", 1, true)
    if not is_known and #name <= NAME_LENGTH_MAX and name:match("^[%w_.%-]+$") then
      return 'Unknown query parameter \\"' .. name .. '\\". ' .. rule .. "."
    end
  end
  return "Unknown query parameter. " .. rule .. "."
end

-- What Envoy says, and how a customer is told: a sentence, or a function of what the pattern captured and the request.
local REWRITES = {
  { "^(.-): invalid value Starting an object on a scalar field for type ([%w_]+)$", unexpected_object },
  { "^.-: invalid value oneof field .* is already set%. Cannot set '([%w_]+)' for type oneof$", repeated },
  { "^(.-): invalid value (.*) for type ([%w_./]+)$", wrong_value },
  { "^(.-): Proto field is not repeating, cannot start list%.$", unexpected_list },
  { "Root element must be a message%.$", "The request body must be a JSON object." },
  { "^Message too deep", "The request body is nested too deeply." },
  { "^Encountered non UTF%-8", "The request body is not valid UTF-8." },
  { "^(.-)\\[nu].*%^$", malformed },
  { "^Unknown query parameter%. (.*)%.$", unknown_parameter },
  { "^The binding value ", "A GET request takes no body." },
  { "^A GET request takes no body%.$", "A GET request takes no body." },
  { "", "The request is not valid." },
}

local function told(text, request)
  for _, rewrite in ipairs(REWRITES) do
    local pattern, sentence = rewrite[1], rewrite[2]
    local first, second, third = text:match(pattern)
    if first then
      return type(sentence) == "string" and sentence or sentence(first, second, third, request)
    end
  end
end

-- As NEXTAPI_PATH in errors.py. The transcoder has put its own path over the customer's.
local function is_nextapi(request)
  local path = request and (request:get("x-envoy-original-path") or request:get(":path")) or ""
  return path:match("^/v1/video/generations$") or path:match("^/v1/video/generations[/?]")
end

local function refused_by_envoy(text)
  local start = '^{"error":{"code":"invalid_request","message":"(.*)"'
  return text:match(start .. ',"type":"invalid_request_error"}}') or text:match(start .. "}}")
end

local function clean(headers)
  headers:remove("cache-control")
  headers:remove("x-api-error-bin")
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
  local text = body:getBytes(0, body:length())
  local trailers = handle:trailers()
  local headers = handle:headers()
  local finished = headers:get("x-api-error-bin") or trailers and trailers:get("x-api-error-bin")
  local status = headers:get("x-api-status") or trailers and trailers:get("x-api-status")
  local refused = refused_by_envoy(text)
  local current = headers:get(":status")
  local json = finished and handle:base64Decode(finished)
  if json then
    headers:replace(":status", status)
  elseif current == "200" then
    headers:replace(":status", "415")
    json = envelope("invalid_request", "Send JSON. gRPC is not spoken here.", "invalid_request_error")
  elseif refused and current == "400" then
    json = envelope("invalid_request", told(refused, handle:requestHeaders()), "invalid_request_error")
  elseif text:sub(1, 10) == '{"error":{' then
    json = text
  else
    -- Not a refusal of ours but of gRPC itself, which says 429 when too many calls run at once.
    json = envelope("internal_error", "Unexpected server error.", "api_error")
    if current < "500" then
      headers:replace(":status", "503")
    end
  end
  if not finished and is_nextapi(handle:requestHeaders()) then
    json = json:gsub(',"type":"[%w_]+"}}%s*$', "}}")
  end
  clean(headers)
  handle:body(true):setBytes(json)
end
