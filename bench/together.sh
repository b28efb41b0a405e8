# Benches of transactions of several sources, of what events and history cost, of followers, and of the memory of hooks; read by `run`,
# which has the functions that are not here.

# One client: two changes in two PostgreSQL databases, each committed by itself and both together; then a change of one row as it is, with
# the log of events, with field history behind it, and with an outbox in the source.
run_together() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    together_databases
    : >"$work/together"
    printf '\n### Transactions of two PostgreSQL databases, and a change with events, %s s each\n\n%s\n\n' "$SECONDS_EACH" "$(machine)"
    echo "| gate | script | transactions/s | mean ms |"
    echo "|---|---|---|---|"
    printf '\\set id random(1, 10000)\nUPDATE left_kept SET n = n + 1 WHERE id = :id;\n' >"$work/single.sql"
    { cat "$work/single.sql"; echo 'UPDATE right_kept SET n = n + 1 WHERE id = :id;'; } >"$work/apart.sql"
    printf '\\set id random(1, 10000)\nBEGIN;\nUPDATE left_kept SET n = n + 1 WHERE id = :id;\nUPDATE right_kept SET n = n + 1 WHERE id = :id;\nCOMMIT;\n' >"$work/both.sql"
    local round
    # In turns, so that a slow minute of the machine is everybody's.
    for round in 1 2 3; do
        together_gate plain '' ''
        together_script plain single
        together_script plain apart
        together_script plain both
        stop_gate
        together_gate log '[events]' ''
        together_script log single
        stop_gate
        together_gate history $'[events]\nobjects = []\n[history]' ''
        together_script history single
        stop_gate
        together_gate outbox '[events]' 'outbox = "querygate_outbox"'
        together_script outbox single
        stop_gate
    done
    together_bars
}

together_databases() {
    local admin=(env PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -v ON_ERROR_STOP=1) database
    "${admin[@]}" -d postgres -c 'alter system set max_prepared_transactions = 20' -c 'create database "left"' -c 'create database "right"'
    # With its writes to disk, which the bench does without elsewhere: what an outbox or the log adds is a part of a commit that lasts.
    as_postgres "$PG_BIN/pg_ctl" -D "$work/pg/data" -m fast -w -o "-p $pg_port -k $work/pg -c listen_addresses=127.0.0.1 \
        -c shared_buffers=1GB -c max_connections=200 -c max_parallel_workers_per_gather=0" restart >"$work/restart.log" 2>&1
    for database in left right; do
        "${admin[@]}" -d "$database" -c 'create table kept (id bigint primary key, n bigint not null)' \
            -c 'insert into kept select i, 0 from generate_series(1, 10000) i' -c 'vacuum analyze kept' \
            -c 'create table querygate_outbox (id varchar(64) primary key, payload text not null)'
    done
}

# together_gate NAME SECTIONS SETTINGS: what is said of the gate beside the usual, and of each of its sources.
together_gate() {
    local side
    rm -rf "$work/gate"
    mkdir -p "$work/gate/metadata"
    printf bench >"$work/gate/password"
    {
        echo 'manifest: { id: com.example.pair, namespace: pair, version: 1.0.0, type: app, name: Pair, engines: { protocol: "^17" } }'
        echo 'datasources:'
        for side in left right; do
            echo "  - { name: $side, driver: postgres, config: {}, schemaMode: external, external: { allowWrites: true } }"
        done
        echo 'objects:'
        for side in left right; do
            cat <<YAML
  - name: pair_${side}_kept
    label: Kept
    datasource: $side
    external: { remoteName: kept, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    enable: { trackHistory: true }
    fields:
      id: { type: number, required: true }
      n: { type: number }
YAML
        done
        echo 'querygate:'
        echo '  tables:'
        for side in left right; do echo "    pair_${side}_kept: { columnTypes: { id: bigint, n: bigint }, primaryKey: [id] }"; done
        echo 'permissions:'
        echo '  - name: pair_writer'
        echo '    label: Writer'
        echo '    objects:'
        for side in left right; do
            echo "      pair_${side}_kept: { allowRead: true, allowEdit: true, viewAllRecords: true, modifyAllRecords: true }"
        done
    } >"$work/gate/metadata/stack.yaml"
    {
        printf '[server]\ndatabase = "demo"\n[metadata]\npath = "metadata"\n[writes]\nenabled = true\n[transactions]\ngate = "00000000000000be"\n%s\n' "$2"
        for side in left right; do
            printf '[[sources]]\nname = "%s"\nkind = "postgres"\nhost = "127.0.0.1"\nport = %s\nuser = "bench"\ndatabase = "%s"\n' "$side" "$pg_port" "$side"
            printf 'password = "file:password"\nwrites = true\nwrite_user = "bench"\nwrite_password = "file:password"\ndistributed = true\n%s\n' "$3"
        done
        printf '[[users]]\nname = "bench"\n%s\npermission_sets = ["pair_writer"]\n' \
            "$(echo bench | "$(gate_program)" user add bench | sed -n '/^verifier/p')"
    } >"$work/gate/querygate.toml"
    serve_gate
}

# together_script GATE SCRIPT
together_script() {
    PGPASSWORD=bench pgbench -n -M prepared -f "$work/$2.sql" -T "$SECONDS_EACH" -c 1 -j 1 -h 127.0.0.1 -p "${gate_pg##*:}" -U bench demo \
        >"$work/pgbench.log" 2>&1 || { head -5 "$work/pgbench.log" >&2; tail -2 "$work/pgbench.log" >&2; return 1; }
    awk -v gate="$1" -v script="$2" -v all="$work/together" '/^latency average/ { mean = $4 } /^tps/ { tps = $3 }
        END { printf "| %s | %s | %.0f | %.3f |\n", gate, script, tps, mean; print gate, script, mean >>all }' "$work/pgbench.log"
}

# What was measured beside what it is to be: medians of the rounds.
together_bars() {
    echo
    echo "| bar | is to be | is | |"
    echo "|---|---|---|---|"
    python3 - "$work/together" <<'PY'
import statistics, sys
found = {}
for line in open(sys.argv[1]):
    gate, script, mean = line.split()
    found.setdefault((gate, script), []).append(float(mean))
median = {key: statistics.median(values) for key, values in found.items()}
def bar(what, most, over, under):
    ratio = median[over] / median[under]
    print(f"| {what} | ≤ {most} | {ratio:.2f} | {'met' if ratio <= most else 'missed'} |")
bar("both together ÷ two single commits", 2.2, ("plain", "both"), ("plain", "apart"))
bar("one row with an outbox ÷ without", 1.15, ("outbox", "single"), ("plain", "single"))
ratio = median["log", "single"] / median["plain", "single"]
print(f"| one row with the log of events ÷ without | | {ratio:.2f} | |")
ratio = median["history", "single"] / median["plain", "single"]
print(f"| one row with field history ÷ without | | {ratio:.2f} | |")
PY
}

# Followers of one object who are told of changes at an even pace: how late they hear, and what each of them takes while nothing comes. The
# last run has a user for each of them, of whom the gate keeps something, too.
run_subscribers() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    build --example subscribers
    local followers=${FOLLOWERS:-1000} users
    printf '\n### Followers, %s s each\n' "$SECONDS_EACH"
    : >"$work/subscribers"
    for users in "${USERS:-50}" "${USERS:-50}" "${USERS:-50}" "$followers"; do
        echo
        "$bin/subscribers" "$(gate_program)" "$followers" "${CHANGES:-500}" "$SECONDS_EACH" "$users" | tee -a "$work/subscribers"
    done
    # After its upgrade, a WebSocket has no buffers of the HTTP library.
    echo
    "$bin/subscribers" "$(gate_program)" "$followers" "${CHANGES:-500}" "$SECONDS_EACH" "${USERS:-50}" sockets
    echo
    echo "| users | bar | is to be | is, of the worst run | |"
    echo "|---|---|---|---|---|"
    for users in "${USERS:-50}" "$followers"; do
        awk -F'|' -v users="$users" '/^\| [0-9]/ && $3 + 0 == users { if ($8 + 0 > late) late = $8 + 0; if ($10 + 0 > kib) kib = $10 + 0; lost += $12 }
            END { printf "| %s | p95 of delivery, ms | ≤ 100 | %s | %s |\n", users, late, late <= 100 ? "met" : "missed"
                  printf "| %s | KiB for each idle follower | ≤ 16 | %s | %s |\n", users, kib, kib <= 16 ? "met" : "missed"
                  printf "| %s | events that were not delivered | 0 | %s | %s |\n", users, lost, lost == 0 ? "met" : "missed" }' "$work/subscribers"
    done
}

# A million calls of scripts in one sandbox: what the process takes in between.
run_calls() {
    build --example hook_calls
    printf '\n### Memory over calls of hooks\n\n%s\n\n' "$(machine)"
    "$bin/hook_calls" "${CALLS:-1000000}"
}
