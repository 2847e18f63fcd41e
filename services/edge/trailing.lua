-- Puts what a service says behind its answer into the head of the answer: NAMES and nothing else.
-- Runs over what has been transcoded, so that the answer is whole already and waiting for its end costs nothing.

function envoy_on_response(handle)
  if handle:headers():get(":status") ~= "200" then
    return  -- of a refusal, all is in the head
  end
  handle:body(true)  -- waits for the trailers: objects taken before are dead now
  local trailers = handle:trailers()
  if not trailers then
    return
  end
  local headers = handle:headers()
  for _, name in ipairs(NAMES) do
    local value = trailers:get(name)
    if value and #value <= VALUE_LENGTH_MAX then
      headers:replace(name, value)
    end
  end
end
