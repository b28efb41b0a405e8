# Records over REST; read by `run`, which has the functions that are not here.

# A record by its key, a filtered page of 50, and one with references of references of references expanded, over the same rows of one
# PostgreSQL: the gate, ObjectStack's own server, and PostGraphile, which makes an interface of a database's tables as PostgREST does.
# Their packages are installed from npm into $VENDOR and $PEER once.
run_rest() {
    command -v wrk >"$work/which" || { echo "SKIPPED: wrk is absent (apt-get install wrk)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS vendor= peer=
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    local vendor_port gate_rest peer_port
    vendor_port=$(free_port) gate_rest=$(free_port) peer_port=$(free_port)
    # It makes its tables, the one of the bench among them.
    start_vendor
    fill_items
    local peer_token=
    start_peer
    serve_items
    local gate_token vendor_token=
    gate_token=$(sign_in "$gate_rest" bench@bench.example bench-password)
    [[ -z $vendor ]] || vendor_token=$(sign_in "$vendor_port" vendor@bench.example bench-password)
    compare_pages
    printf '\n### REST: a record of 100,000 by its key, a filtered page of 50 with its total, a page with three levels expanded, over PostgreSQL, %s s each\n\n%s\n\n' \
        "$SECONDS_EACH" "$(machine)"
    echo "| what | clients | server | requests/s | p50 ms | p95 ms | p99 ms | its CPU µs a request | failed |"
    echo "|---|---|---|---|---|---|---|---|---|"
    for kind in record page expand; do
        for clients in ${REST_CLIENTS:-1 16 100}; do
            requested "Querygate" "$gate_rest" "$gate_token" "$kind" "$clients" "$gate"
            [[ -z $vendor ]] || requested "ObjectStack 17.4.0" "$vendor_port" "$vendor_token" "$kind" "$clients" "$vendor"
            [[ -z $peer ]] || LANGUAGE=graphql requested "PostGraphile 4.14.1" "$peer_port" "$peer_token" "$kind" "$clients" "$peer"
        done
    done
    echo
    statements_of_a_page
    kill $gate $vendor $peer && wait $gate $vendor $peer || true
    gate=
}

# What is measured is the same work: each server gives the same fifty records and their number.
compare_pages() {
    local page='/api/v1/data/bench_item?region=region%207&top=50'
    curl -sf -H "authorization: Bearer $gate_token" -o "$work/page.gate" "http://127.0.0.1:$gate_rest$page"
    [[ -z $vendor ]] || curl -sf -H "authorization: Bearer $vendor_token" -o "$work/page.vendor" "http://127.0.0.1:$vendor_port$page"
    [[ -z $peer ]] || curl -sf -H "authorization: Bearer $peer_token" -H 'content-type: application/json' -o "$work/page.peer" \
        -d '{"query": "{ allBenchItems(condition: {region: \"region 7\"}, first: 50, orderBy: [ID_ASC]) { nodes { id } totalCount } }"}' \
        "http://127.0.0.1:$peer_port/graphql"
    python3 - "$work"/page.* <<'PY'
import json, sys
def said(path):
    answer = json.load(open(path))
    page = answer["data"]["allBenchItems"] if "data" in answer else answer
    return [record["id"] for record in page.get("nodes", page.get("records"))], page.get("totalCount", page.get("total"))
answers = {path: said(path) for path in sys.argv[1:]}
first = next(iter(answers.values()))
if len(first[0]) != 50 or any(answer != first for answer in answers.values()):
    sys.exit(f"the servers give other pages: { {path: (ids[:2], len(ids), total) for path, (ids, total) in answers.items()} }")
PY
}

# How many statements PostgreSQL runs for a page with three levels expanded.
statements_of_a_page() {
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres \
        -c "alter system set log_min_duration_statement = 0" -c "select pg_reload_conf()" >"$work/reload.log"
    sleep 1
    local before after=$work/expanded.json
    before=$(wc -l <"$work/pg/log")
    curl -sf -H "authorization: Bearer $gate_token" -H 'content-type: application/json' -o "$after" "http://127.0.0.1:$gate_rest/api/v1/data/bench_item/query" \
        -d '{"object": "bench_item", "where": {"region": "region 7"}, "limit": 50, "expand": {"place": {"object": "bench_place", "expand": {"zone": {"object": "bench_zone", "expand": {"land": {"object": "bench_land"}}}}}}}'
    sleep 1
    echo "Statements of a page with three levels expanded, its count of all rows among them:" \
        "$(tail -n "+$((before + 1))" "$work/pg/log" | grep -cE 'execute .*FROM "public"\."bench_')"
    grep -o '"name":"land [0-9]*"' "$after" | head -1
}

# requested NAME PORT TOKEN KIND CLIENTS PROCESS
requested() {
    local before after
    before=$(ticks "$6")
    TOKEN=$3 KIND=$4 wrk -t1 -c"$5" -d"${SECONDS_EACH}s" --timeout 20s -s bench/rest.lua "http://127.0.0.1:$2" >"$work/wrk.log" 2>&1 \
        || { tail -5 "$work/wrk.log" >&2; return 1; }
    after=$(ticks "$6")
    # shellcheck disable=SC2046 # six numbers
    set -- "$1" "$4" "$5" "$((after - before))" $(tail -1 "$work/wrk.log")
    echo "| $2 | $3 | $1 | $5 | $6 | $7 | $8 | $(python3 -c "print(round($4 * 10_000 / max(1, $5 * $SECONDS_EACH)))") | $9 |"
}

start_vendor() {
    VENDOR=${VENDOR:-$HOME/.cache/querygate/vendor}
    command -v npm >"$work/which" || { echo "SKIPPED: the vendor's server, npm is absent"; return 0; }
    mkdir -p "$VENDOR"
    cp bench/vendor/* "$VENDOR/"
    [[ -d $VENDOR/node_modules/@objectstack/driver-sql ]] || (cd "$VENDOR" && npm install --no-audit --no-fund) >"$work/npm.log" 2>&1 \
        || { tail -3 "$work/npm.log"; echo "SKIPPED: the vendor's server does not install"; return 0; }
    : >"$work/vendor.log"
    (cd "$VENDOR" && exec node server.mjs "$vendor_port" "$pg_port" "$PWD/stack.json") >"$work/vendor.log" 2>&1 &
    vendor=$!
    until grep -q '^READY' "$work/vendor.log"; do
        kill -0 "$vendor" || { tail -3 "$work/vendor.log" >&2; exit 1; }
        sleep 0.3
    done
    curl -sf -H 'content-type: application/json' -H "origin: http://127.0.0.1:$vendor_port" -o "$work/signed" \
        -d '{"email": "vendor@bench.example", "password": "bench-password", "name": "Bench"}' \
        "http://127.0.0.1:$vendor_port/api/v1/auth/sign-up/email"
}

# PostGraphile, which acts as the database's role that a signed token names. It is started once the tables are there.
start_peer() {
    PEER=${PEER:-$HOME/.cache/querygate/peer}
    command -v npm >"$work/which" || { echo "SKIPPED: PostGraphile, npm is absent"; return 0; }
    mkdir -p "$PEER"
    cp bench/peer/* "$PEER/"
    [[ -d $PEER/node_modules/postgraphile ]] || (cd "$PEER" && npm install --no-audit --no-fund) >"$work/npm.log" 2>&1 \
        || { tail -3 "$work/npm.log"; echo "SKIPPED: PostGraphile does not install"; return 0; }
    : >"$work/peer.log"
    (cd "$PEER" && exec node server.mjs "$peer_port" "$pg_port") >"$work/peer.log" 2>&1 &
    peer=$!
    until peer_token=$(sed -n 's/^READY //p' "$work/peer.log") && [[ -n $peer_token ]]; do
        kill -0 "$peer" || { tail -3 "$work/peer.log" >&2; exit 1; }
        sleep 0.3
    done
}

fill_items() {
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/fill.log" 2>&1 <<'SQL'
create table if not exists bench_item (id varchar(255) primary key, created_at timestamptz, updated_at timestamptz, organization_id varchar(255),
    created_by varchar(255), updated_by varchar(255), owner_id varchar(255), owning_business_unit_id varchar(255), name text, region text,
    level real, amount real, note text, done boolean, due date, place varchar(255));
insert into bench_item (id, created_at, updated_at, owner_id, name, region, level, amount, note, done, due, place)
    select 'i' || lpad(i::text, 7, '0'), at, at, 'u' || i % 50, 'item number ' || i, 'region ' || i % 200, i % 7, (i * 7919 % 100000) / 4.0,
        'a note of some length about item ' || i, i % 3 = 0, date '2026-01-01' + i % 365, 'p' || i % 1009
    from generate_series(1, 100000) i, lateral (select timestamptz '2026-01-01' + i * interval '1 minute') of_row(at);
create index on bench_item (region);
create table if not exists bench_place (like bench_item including all);
create table if not exists bench_zone (like bench_item including all);
create table if not exists bench_land (like bench_item including all);
alter table bench_place add column if not exists zone varchar(255);
alter table bench_zone add column if not exists land varchar(255);
insert into bench_place (id, created_at, updated_at, name, zone) select 'p' || i, now(), now(), 'place ' || i, 'z' || i % 101 from generate_series(0, 1008) i;
insert into bench_zone (id, created_at, updated_at, name, land) select 'z' || i, now(), now(), 'zone ' || i, 'l' || i % 11 from generate_series(0, 100) i;
insert into bench_land (id, created_at, updated_at, name) select 'l' || i, now(), now(), 'land ' || i from generate_series(0, 10) i;
vacuum analyze bench_item, bench_place, bench_zone, bench_land;
SQL
}

# A gate over them, by the vendor's own stack.
serve_items() {
    rm -rf "$work/gate"
    mkdir -p "$work/gate/metadata"
    cp bench/vendor/stack.json "$work/gate/metadata/stack.json"
    printf bench >"$work/gate/password"
    local verifier
    verifier=$(echo bench-password | "$(gate_program)" user add bench | sed -n '/^verifier/p')
    cat >"$work/gate/querygate.toml" <<TOML
[server]
database = "bench"
[rest]
listen = "127.0.0.1:$gate_rest"
requests_per_user = 0
[metadata]
path = "metadata"
[[sources]]
name = "default"
kind = "postgres"
host = "127.0.0.1"
port = $pg_port
user = "bench"
database = "postgres"
password = "file:password"
pool_size = 16
[[users]]
name = "bench"
$verifier
email = "bench@bench.example"
permission_sets = ["bench_reader"]
TOML
    serve_gate
}

# sign_in PORT ADDRESS PASSWORD
sign_in() {
    curl -sf -H 'content-type: application/json' -d "{\"email\": \"$2\", \"password\": \"$3\"}" \
        "http://127.0.0.1:$1/api/v1/auth/sign-in/email" | python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])'
}
