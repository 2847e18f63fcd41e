-- Has the route of a creation chosen again where its key was found to be busy: another route takes what is marked.

function envoy_on_request(handle)
  if handle:headers():get(BUSY) then
    handle:clearRouteCache()
  end
end
