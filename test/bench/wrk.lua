-- wrk … URL -- list FILE     asks for the paths in FILE, one after the other, again and again
-- wrk … URL -- fresh PREFIX  asks for narinfos whose hash parts begin with PREFIX, each once
-- Prints one line: requests, requests not answered below 400, socket errors, seconds, p50 and p99 in ms.
local requests, prefix, count = {}, nil, 0

function init(args)
  if args[1] == "fresh" then
    prefix = args[2]
  else
    for path in io.lines(args[2]) do requests[#requests + 1] = wrk.format(nil, path) end
  end
end

function request()
  count = count + 1
  if prefix then
    return wrk.format(nil, "/" .. prefix .. string.format("%0" .. (32 - #prefix) .. "d", count) .. ".narinfo")
  end
  return requests[count % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("\nresult %d %d %d %f %f %f\n", summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
