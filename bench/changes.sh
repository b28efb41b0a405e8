# Benches of changes; read by `run`, which has the functions that are not here.

# pgbench's own scripts that change rows, unmodified, and an UPDATE by key: straight, through PgBouncer, and through the gate, where each
# table has a row policy with a CHECK and accounts have a validation. Then autonumbers, which all clients take from one counter.
run_changed() {
    command -v pgbouncer >/dev/null || { echo "SKIPPED: PgBouncer is absent (apt-get install pgbouncer)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench pgbench -i -q -s "$BENCH_SCALE" -h 127.0.0.1 -p "$pg_port" -U bench postgres >"$work/pgbench.init" 2>&1
    # The gate changes rows of tables with a key only.
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/keys.log" <<'SQL'
alter table pgbench_history add column id uuid primary key default gen_random_uuid();
create table numbered (id uuid primary key default gen_random_uuid(), number text unique, note text);
SQL
    start_pgbouncer
    start_changing_gate
    : >"$work/changed"
    printf '\n### pgbench with changes, scale %s, %s s each\n\n%s\n\n' "$BENCH_SCALE" "$SECONDS_EACH" "$(machine)"
    echo "| script | server | clients | transactions/s | mean ms | its CPU µs a transaction | ÷ PgBouncer |"
    echo "|---|---|---|---|---|---|---|"
    echo "\\set aid random(1, 100000 * $BENCH_SCALE)" >"$work/update.sql"
    echo "\\set delta random(-5000, 5000)" >>"$work/update.sql"
    echo 'UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;' >>"$work/update.sql"
    local clients script
    for script in tpcb-like simple-update "$work/update.sql"; do
        for clients in ${CHANGE_CLIENTS:-1 16}; do
            changed_tps=
            changed "$script" "PgBouncer, session" "$pgbouncer_port" postgres "$clients" "$pgbouncer"
            changed "$script" "Querygate, CHECK and rule" "${gate_pg##*:}" demo "$clients" "$gate"
            changed "$script" "PostgreSQL 15, direct" "$pg_port" postgres "$clients" ""
        done
    done
    # What the gate did is what the tables say: pgbench adds the same amount to four places.
    PGPASSWORD=bench "$PG_BIN/psql" -qAt -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -c \
        "select 'tellers and branches agree: ' || ((select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches))"
    changed_numbers
    changed_bars
    kill "$gate" && wait "$gate" || true
    kill -INT "$pgbouncer" && wait "$pgbouncer" || true
    gate= pgbouncer=
}

# changed SCRIPT NAME PORT DATABASE CLIENTS PROCESS
changed() {
    local before=0 after=0 script=(-b "$1")
    [[ -e $1 ]] && script=(-f "$1")
    [[ -n $6 ]] && before=$(ticks "$6")
    PGPASSWORD=bench pgbench -n -M prepared "${script[@]}" -T "$SECONDS_EACH" -c "$5" -j 1 -h 127.0.0.1 -p "$3" \
        -U bench "$4" >"$work/pgbench.log" 2>&1 || { head -5 "$work/pgbench.log" >&2; tail -2 "$work/pgbench.log" >&2; return 1; }
    [[ -n $6 ]] && after=$(ticks "$6")
    python3 - "$(basename "$1" .sql)" "$2" "$5" "$((after - before))" "${changed_tps:-0}" "$work/pgbench.log" "$work/changed" <<'PY'
import re, sys
script, name, clients, ticks, pooler, log = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5]), open(sys.argv[6]).read()
value = lambda words: float(re.search(words + r" = ([0-9.]+)", log).group(1))
count, failed = int(re.search(r"actually processed: (\d+)", log).group(1)), re.search(r"failed transactions: (\d+)", log)
tps, mean = value("tps"), value("latency average")
cpu = f"{ticks * 10_000 / max(count, 1):.0f}" if ticks else "–"
note = f" ({failed.group(1)} failed)" if failed and failed.group(1) != "0" else ""
with open(sys.argv[7], "a") as measured:
    measured.write(f"{script}\t{name.split(',')[0]}\t{clients}\t{tps}\t{mean}\n")
print(f"| {script} | {name} | {clients} | {tps:.0f}{note} | {mean:.3f} | {cpu} | {tps / pooler if pooler else 1:.2f} |")
PY
    [[ -n $changed_tps ]] || changed_tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log")
}

# Rows with an autonumber from sixteen clients at once, and whether the numbers have a gap or a double.
changed_numbers() {
    echo "INSERT INTO numbered (note) VALUES ('of a client'), ('of a client'), ('of a client'), ('of a client'), ('of a client'), ('of a client'), ('of a client'), ('of a client');" >"$work/number.sql"
    PGPASSWORD=bench pgbench -n -M prepared -f "$work/number.sql" -T "$SECONDS_EACH" -c 16 -j 1 -h 127.0.0.1 -p "${gate_pg##*:}" -U bench demo \
        >"$work/pgbench.log" 2>&1 || { head -5 "$work/pgbench.log" >&2; tail -2 "$work/pgbench.log" >&2; return 1; }
    local tps
    tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log")
    PGPASSWORD=bench "$PG_BIN/psql" -qAt -F ' ' -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -c \
        "select $tps * 8, count(*), count(distinct number), coalesce(max(substr(number, 3)::int8), 0) from numbered" >"$work/numbered"
    awk '{ printf "\nAutonumbers, 16 clients, eight rows a statement: %d rows/s; %d rows, %d numbers, the last %d\n", $1, $2, $3, $4 }' "$work/numbered"
}

# What was measured beside what it is to be, all of one run.
changed_bars() {
    echo
    echo "| bar | is to be | is | |"
    echo "|---|---|---|---|"
    python3 - "$work/changed" "$work/numbered" <<'PY'
import sys
found = {}
for line in open(sys.argv[1]):
    script, server, clients, tps, mean = line.rstrip("\n").split("\t")
    found[script, server, clients] = float(tps), float(mean)
met = lambda holds: "met" if holds else "missed"
for script in ("tpcb-like", "simple-update"):
    pooler, gate = found.get((script, "PgBouncer", "16")), found.get((script, "Querygate", "16"))
    if pooler and gate:
        ratio = gate[0] / pooler[0]
        print(f"| {script}, 16 clients, ÷ PgBouncer | ≥ 0.8 | {ratio:.2f} | {met(ratio >= 0.8)} |")
direct, gate = found.get(("update", "PostgreSQL 15", "1")), found.get(("update", "Querygate", "1"))
if direct and gate:
    added = gate[1] - direct[1]
    print(f"| UPDATE by key with a validation, 1 client, more than direct | ≤ 0.15 ms | {added:.3f} ms | {met(added <= 0.15)} |")
rate, rows, numbers, last = (float(part) for part in open(sys.argv[2]).read().split())
whole = rows == numbers == last
print(f"| autonumbers, 16 clients | ≥ 2,000 rows/s, no gap | {rate:,.0f} rows/s, {'no gap' if whole else 'GAPS OR DOUBLES'} | {met(rate >= 2000 and whole)} |")
PY
}
