-- Requests of one kind for wrk, with values at random: TOKEN, KIND (record, page, expand), LANGUAGE (objectstack; graphql, as PostGraphile names
-- the tables).
local token, kind, language = os.getenv("TOKEN"), os.getenv("KIND"), os.getenv("LANGUAGE")
wrk.headers["authorization"] = "Bearer " .. token
wrk.headers["content-type"] = "application/json"

local threads = {}
function setup(thread)
    table.insert(threads, thread)
    thread:set("number", #threads)
end

function init()
    math.randomseed(number * 7919)
end

local fields = "id createdAt updatedAt organizationId createdBy updatedBy ownerId owningBusinessUnitId name region level amount note done due place"
local related = "id createdAt updatedAt organizationId createdBy updatedBy ownerId owningBusinessUnitId name"
local page = "query ($region: String!) { allBenchItems(condition: {region: $region}, first: 50, orderBy: [ID_ASC]) "
    .. "{ nodes { %s } totalCount pageInfo { hasNextPage } } }"
local expanded = fields .. " placed { " .. related .. " zone zoned { " .. related .. " land landed { " .. related .. " } } }"
local queries = {
    record = "query ($id: String!) { benchItemById(id: $id) { " .. fields .. " } }",
    page = string.format(page, fields),
    expand = string.format(page, expanded),
}

local function asked()
    local body = '{"query": "%s", "variables": {"%s": "%s"}}'
    if kind == "record" then
        return string.format(body, queries.record, "id", string.format("i%07d", math.random(1, 100000)))
    end
    return string.format(body, queries[kind], "region", string.format("region %d", math.random(0, 199)))
end

function request()
    if language == "graphql" then
        return wrk.format("POST", "/graphql", nil, asked())
    end
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

-- Each thread has its own.
failed = 0
if language == "graphql" then
    -- A failure has the status 200, too.
    function response(status, _, body)
        if status ~= 200 or body:find('"errors"', 1, true) or not body:find('"id"', 1, true) then failed = failed + 1 end
    end
else
    function response(status)
        if status ~= 200 then failed = failed + 1 end
    end
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.timeout
    for _, thread in ipairs(threads) do
        bad = bad + thread:get("failed")
    end
    io.write(string.format("%.0f %.2f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3,
        latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, bad))
end
