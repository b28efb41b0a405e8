# Flame graphs of four loads; read by `run`, which has the functions that are not here.

# A look-up by key over PostgreSQL under a row policy, q18 of TPC-H over Parquet, extraction of Parquet through Flight, and q9 with orders
# and lineitem in PostgreSQL and the rest in Parquet: an SVG for each in FLAMES (bench/flames), of the binary at hand (after) and of
# BEFORE, where that is set.
run_flames() {
    local missing
    for missing in perf inferno-collapse-perf inferno-flamegraph; do
        command -v "$missing" >/dev/null || { echo "SKIPPED: $missing is absent (apt-get install linux-perf, cargo install inferno)"; return 0; }
    done
    build --example flight --example federated
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local into=${FLAMES:-bench/flames} folder=${CARGO_TARGET_DIR:-target}/tpch-$SCALE rows=$ROWS
    mkdir -p "$into" "$work/whole" "$work/lake"
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    REMOTE="orders lineitem" FEDERATED_RUNS=1 run_federated >"$work/filled"
    PGPASSWORD=bench pgbench -i -q -s "$BENCH_SCALE" -h 127.0.0.1 -p "$pg_port" -U bench postgres >"$work/pgbench.init" 2>&1
    "$bin/flight" make "$work/whole/wide.parquet" "$FLIGHT_ROWS"
    ln -s "$(realpath "$folder")"/*.parquet "$work/whole"
    ln -s "$(realpath "$folder")"/{customer,nation,part,partsupp,region,supplier}.parquet "$work/lake"
    printf '\n### Flame graphs in %s\n\n%s\n\n' "$into" "$(machine)"
    local binary
    for binary in "after:$(gate_program)" ${BEFORE:+"before:$BEFORE"}; do
        flames_of "${binary%%:*}" "${binary#*:}" "$into"
    done
}

# flames_of AFTER|BEFORE BINARY FOLDER
flames_of() {
    local GATE=$2 PGPASSWORD=bench
    export PGPASSWORD
    serve_files bench whole
    flame "$3/q18-$1.svg" "TPC-H q18, Parquet, scale $SCALE ($1)" repeated tests/tpch/queries/q18.sql
    flame "$3/extraction-$1.svg" "10 columns of Parquet through Flight ($1)" \
        "$bin/flight" fetch extraction "$gate_flight" 1 "$RUNS" "$gate"
    stop_gate
    introspect_gate
    "$(gate_program)" introspect "$work/lake" --namespace lake -o "$work/gate/metadata" >"$work/introspect.log" 2>&1
    python3 - "$work/gate/metadata/bench.json" <<'PY'
import json, sys
stack = json.load(open(sys.argv[1]))
for granted in stack["packages"][0]["manifest"]["permissions"]:
    granted["rowLevelSecurity"] = [{"name": "every_row", "object": "bench_pgbench_accounts", "operation": "select", "using": "bid >= 1"}]
json.dump(stack, open(sys.argv[1], "w"))
PY
    configure_gate "[[sources]]
name = \"lake\"
kind = \"files\"
path = \"$work/lake\"" ''
    sed -i 's/permission_sets = \["bench_reader"\]/permission_sets = ["bench_reader", "lake_reader"]/' "$work/gate/querygate.toml"
    serve_gate
    flame "$3/federated-q9-$1.svg" "TPC-H q9, orders and lineitem in PostgreSQL, scale $SCALE ($1)" repeated tests/tpch/queries/q09.sql
    echo "\\set aid random(1, 100000 * $BENCH_SCALE)" >"$work/select.sql"
    echo 'SELECT abalance FROM pgbench_accounts WHERE aid = :aid;' >>"$work/select.sql"
    flame "$3/look-up-$1.svg" "Look-ups by key over PostgreSQL, a row policy, 16 clients ($1)" \
        pgbench -n -M prepared -f "$work/select.sql" -T "$SECONDS_EACH" -c 16 -h 127.0.0.1 -p "${gate_pg##*:}" -U bench demo
    stop_gate
}

# `serve_files USER FOLDER`: a gate over the files of a folder under $work, which that user may read.
serve_files() {
    rm -rf "$work/gate/metadata"
    mkdir -p "$work/gate"
    "$(gate_program)" introspect "$work/$2" --namespace "$2" -o "$work/gate/metadata" >"$work/introspect.log" 2>&1
    cat >"$work/gate/querygate.toml" <<TOML
[server]
database = "demo"
[metadata]
path = "metadata"
[[sources]]
name = "$2"
kind = "files"
path = "$work/$2"
[[users]]
name = "$1"
$(echo bench | "$(gate_program)" user add "$1" | sed -n '/^verifier/p')
permission_sets = ["${2}_reader"]
TOML
    serve_gate
}

# A statement again and again, by one client.
repeated() {
    local ends=$((SECONDS + SECONDS_EACH))
    until ((SECONDS >= ends)); do
        psql -q -h 127.0.0.1 -p "${gate_pg##*:}" -U bench -d demo -f "$1" >"$work/answer"
    done
}

# flame FILE TITLE COMMAND...: what the gate does while the command runs, once it has run before.
flame() {
    "${@:3}" >"$work/warm" 2>&1 || { tail -5 "$work/warm" >&2; return 1; }
    perf record -q -F 299 --call-graph dwarf,16384 -p "$gate" -o "$work/perf.data" >"$work/perf.log" 2>&1 &
    local recorder=$!
    "${@:3}" >"$work/answer" 2>&1
    kill -INT "$recorder" && wait "$recorder" || true
    perf script -i "$work/perf.data" --no-inline 2>"$work/perf.log" | inferno-collapse-perf --skip-after 'std::sys::backtrace::__rust_begin_short_backtrace' \
        2>"$work/collapse.log" | inferno-flamegraph --minwidth 0.4 --title "$2" >"$1" 2>"$work/flame.log"
    echo "- [$2]($(basename "$1"))"
}
