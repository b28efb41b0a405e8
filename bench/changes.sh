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
    python3 - "$(basename "$1" .sql)" "$2" "$5" "$((after - before))" "${changed_tps:-0}" "$work/pgbench.log" <<'PY'
import re, sys
script, name, clients, ticks, pooler, log = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5]), open(sys.argv[6]).read()
value = lambda words: float(re.search(words + r" = ([0-9.]+)", log).group(1))
count, failed = int(re.search(r"actually processed: (\d+)", log).group(1)), re.search(r"failed transactions: (\d+)", log)
tps, mean = value("tps"), value("latency average")
cpu = f"{ticks * 10_000 / max(count, 1):.0f}" if ticks else "–"
note = f" ({failed.group(1)} failed)" if failed and failed.group(1) != "0" else ""
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
    echo
    echo "Autonumbers, 16 clients, eight rows a statement: $(python3 -c "print(round($tps * 8))") rows/s;" \
        "$(PGPASSWORD=bench "$PG_BIN/psql" -qAt -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -c \
            "select count(*) || ' rows, ' || count(distinct number) || ' numbers, the last ' || max(number) from numbered")"
}
