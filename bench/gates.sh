# Gates over the PostgreSQL that `run` has started; read by `run`, which has the functions that are not here.

# The program under measurement: the one built here, or $GATE, for turns of two versions.
gate_program() { realpath "${GATE:-$programs/querygate}"; }

# start_gate OBJECT USING: the real binary over the server, introspected, with a policy that every row passes and each must be
# tested for. User bench has it; where a third argument says "apart", only user narrow does.
start_gate() {
    introspect_gate
    python3 - "$work/gate/metadata/bench.json" "$1" "$2" "${3:-}" <<'PY'
import copy, json, sys
stack = json.load(open(sys.argv[1]))
policy = {"name": "every_row", "object": sys.argv[2], "operation": "select", "using": sys.argv[3]}
sets = stack["packages"][0]["manifest"]["permissions"]
sets.append({**copy.deepcopy(sets[0]), "name": "bench_narrow"})
for narrowed in sets[1:] if sys.argv[4] == "apart" else sets:
    narrowed.setdefault("rowLevelSecurity", []).append(policy)
json.dump(stack, open(sys.argv[1], "w"))
PY
    configure_gate '' ''
    serve_gate
}

# The same with rights to change and rules: a CHECK for each table, a validation for accounts, an autonumber.
start_changing_gate() {
    introspect_gate
    python3 - "$work/gate/metadata/bench.json" <<'PY'
import json, sys
stack = json.load(open(sys.argv[1]))
package = stack["packages"][0]["manifest"]
for source in package["datasources"]:
    source["external"]["allowWrites"] = True
names = {found["name"] for found in package["objects"]}
checks = {name: "bid >= 1" for name in ["pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history"]}
checks = {table: check for table, check in (checks | {"loaded": "level >= 0", "ruled": "level >= 0"}).items() if f"bench_{table}" in names}
for found in package["objects"]:
    found["external"]["writable"] = True
    found["sharingModel"] = "public_read_write"
    if found["name"] == "bench_pgbench_accounts":
        found["validations"] = [{"name": "credit", "type": "script", "condition": "record.abalance < -1000000000",
                                 "message": "An account has a limit of credit.", "severity": "error", "events": ["insert", "update"]}]
    if found["name"] == "bench_ruled":
        found["fields"]["level"] |= {"type": "lookup", "reference": "bench_levels"}
        found["validations"] = [{"name": "worth", "type": "script", "condition": "record.amount < 0.0", "message": "An amount is no debt.",
                                 "severity": "error", "events": ["insert", "update"]}]
    if found["name"] == "bench_numbered":
        found["fields"]["number"] = {"type": "autonumber", "autonumberFormat": "N-{00000000}"}
rights = package["permissions"][0]
for name in rights["objects"]:
    rights["objects"][name] |= {"allowCreate": True, "allowEdit": True, "allowDelete": True}
rights["rowLevelSecurity"] = [
    {"name": f"rows_of_{table}", "object": f"bench_{table}", "operation": "all", "using": check, "check": check}
    for table, check in checks.items()]
json.dump(stack, open(sys.argv[1], "w"))
PY
    configure_gate '[writes]
enabled = true' 'writes = true
write_user = "bench"
write_password = "file:password"
write_pool_size = 16'
    serve_gate
}

introspect_gate() {
    rm -rf "$work/gate/metadata"
    mkdir -p "$work/gate"
    printf bench >"$work/gate/password"
    (cd "$work/gate" && "$(gate_program)" introspect "postgres://bench@127.0.0.1:$pg_port/postgres" --password file:password \
        --namespace bench -o metadata) >"$work/introspect.log" 2>&1 || { cat "$work/introspect.log" >&2; exit 1; }
}

# configure_gate SECTIONS SETTINGS: what is said of the gate beside the usual, and of its source.
configure_gate() {
    local verifier
    verifier=$(echo bench | "$(gate_program)" user add bench | sed -n '/^verifier/p')
    cat >"$work/gate/querygate.toml" <<TOML
[server]
database = "demo"
connection_max = 2000
[metadata]
path = "metadata"
[limits]
queries_waiting_max = 2000
${LEARNS:+[learning]
directory = \"learnt\"
}$1
[[sources]]
name = "bench"
kind = "postgres"
host = "127.0.0.1"
port = $pg_port
user = "bench"
database = "postgres"
password = "file:password"
pool_size = 16
$2
[[users]]
name = "bench"
$verifier
user_id = "bench"
permission_sets = ["bench_reader"]
TOML
    grep -q bench_narrow "$work/gate/metadata/bench.json" || return 0
    cat >>"$work/gate/querygate.toml" <<TOML
[[users]]
name = "narrow"
$verifier
user_id = "narrow"
permission_sets = ["bench_narrow"]
TOML
}

# serve_gate [WRAPPER ...]: starts it, through a command that runs the one that it is given.
serve_gate() {
    # The log of a gate before this one has its address.
    : >"$work/gate.log"
    QUERYGATE_LOG=warn "$@" "$(gate_program)" serve -c "$work/gate/querygate.toml" --pg 127.0.0.1:0 --http 127.0.0.1:0 \
        --flight 127.0.0.1:0 >"$work/gate.log" 2>&1 &
    gate=$!
    until gate_pg=$(sed -n 's/.*postgres on \([0-9.:]*\).*/\1/p' "$work/gate.log") && [[ -n $gate_pg ]]; do
        kill -0 "$gate" || { cat "$work/gate.log" >&2; exit 1; }
        sleep 0.1
    done
    gate_flight=$(sed -n 's/.*flight on \([0-9.:]*\).*/\1/p' "$work/gate.log")
    gate_http=$(sed -n 's/.*http on \([0-9.:]*\).*/\1/p' "$work/gate.log")
}

stop_gate() {
    kill "$gate" && wait "$gate" || true
    gate=
}

# Instructions of a look-up by key under a row policy, in user space, as callgrind counts them: the difference of a long and a
# short run of pgbench, so that start and first planning cancel out. BEFORE: an older binary, counted too.
run_counted() {
    command -v valgrind >/dev/null || { echo "SKIPPED: valgrind is absent (apt-get install valgrind)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS clients count counts
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench pgbench -i -q -s 1 -h 127.0.0.1 -p "$pg_port" -U bench postgres >"$work/pgbench.init" 2>&1
    printf '\n### Instructions of a look-up (callgrind, pgbench -S -M prepared)\n\n%s\n\n' "$(machine)"
    echo "| gate | clients | instructions a look-up |"
    echo "|---|---|---|"
    for GATE in ${BEFORE:-} "$programs/querygate"; do
        GATE=$GATE start_gate bench_pgbench_accounts 'bid >= 1'
        stop_gate
        for clients in 1 16; do
            counts=
            for count in 2000 22000; do
                serve_gate valgrind -q --tool=callgrind --callgrind-out-file="$work/callgrind.$count"
                PGPASSWORD=bench pgbench -n -S -M prepared -t "$((count / clients))" -c "$clients" -j 1 -h 127.0.0.1 \
                    -p "${gate_pg##*:}" -U bench demo >"$work/pgbench.log" 2>&1 || { tail -5 "$work/pgbench.log" >&2; return 1; }
                stop_gate
                counts+=" $(sed -n 's/^summary: //p' "$work/callgrind.$count")"
                [[ -z ${KEEP:-} ]] || cp "$work/callgrind.$count" "$KEEP/$(basename "$GATE").$clients.$count"
            done
            python3 -c "import sys; few, many = map(int, sys.argv[3:]); print(f'| {sys.argv[1]} | {sys.argv[2]} | {(many - few) / 20000:,.0f} |')" \
                "$GATE" "$clients" $counts
        done
    done
    unset GATE
}
