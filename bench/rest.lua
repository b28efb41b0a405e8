-- Requests of one kind for wrk, with values at random: TOKEN, KIND (record, page, expand) and, of another server than ObjectStack's, its paths.
local token, kind = os.getenv("TOKEN"), os.getenv("KIND")
wrk.headers["authorization"] = "Bearer " .. token
wrk.headers["content-type"] = "application/json"

local thread_count = 0
function setup(thread)
    thread_count = thread_count + 1
    thread:set("number", thread_count)
end

function init()
    math.randomseed(number * 7919)
end

function request()
    if kind == "record" then
        return wrk.format("GET", string.format("/api/v1/data/bench_item/i%07d", math.random(1, 100000)))
    end
    if kind == "expand" then
        local body = '{"object": "bench_item", "where": {"region": "region %d"}, "limit": 50, "expand": {"place": {"object": "bench_place", "expand": '
            .. '{"zone": {"object": "bench_zone", "expand": {"land": {"object": "bench_land"}}}}}}}'
        return wrk.format("POST", "/api/v1/data/bench_item/query", nil, string.format(body, math.random(0, 199)))
    end
    return wrk.format("GET", string.format("/api/v1/data/bench_item?region=region%%20%d&top=50", math.random(0, 199)))
end

local failed = 0
function response(status)
    if status ~= 200 then failed = failed + 1 end
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("%.0f %.2f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3,
        latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, bad))
end
