# Rows that a client sends to be stored; read by `run`, which has the functions that are not here.

# COPY FROM of COPY_ROWS rows by psql into one table of PostgreSQL: straight, and through the gate, where the table has a row policy with
# a CHECK. Before each, the table is emptied.
run_copied() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS count=${COPY_ROWS:-1000000}
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/tables.log" <<SQL
create table loaded (id bigint primary key, name text, amount numeric(15,2), at timestamptz, level integer);
create table given as select i::int8 as id, 'customer number ' || i as name, (((i::int8 * 7919) % 100000000)::numeric / 100)::numeric(15,2) as amount,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1001 milliseconds' as at, (i % 7)::int4 as level from generate_series(1, $count) i;
\\copy given to '$work/given.text'
\\copy given to '$work/given.csv' csv
\\copy given to '$work/given.binary' binary
drop table given;
SQL
    start_changing_gate
    printf '\n### COPY FROM, %s rows of 5 columns with a key\n\n%s\n\n' "$count" "$(machine)"
    echo "| format | server | rows/s | ÷ PostgreSQL |"
    echo "|---|---|---|---|"
    local format straight
    for format in text csv binary; do
        straight=
        copied "$format" "PostgreSQL 15, direct" "$pg_port" postgres "$count"
        copied "$format" "Querygate, CHECK" "${gate_pg##*:}" demo "$count"
    done
    kill "$gate" && wait "$gate" || true
    gate=
}

# copied FORMAT NAME PORT DATABASE ROWS: as many rows must be there afterwards.
copied() {
    local admin=("$PG_BIN/psql" -qAt -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1) stored began took
    PGPASSWORD=bench "${admin[@]}" -c 'truncate loaded' -c 'vacuum loaded'
    began=$(date +%s%N)
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$3" -U bench -d "$4" -v ON_ERROR_STOP=1 \
        -c "\\copy loaded (id, name, amount, at, level) from '$work/given.$1' with (format $1)" >"$work/copied.log" 2>&1 ||
        { head -5 "$work/copied.log" >&2; return 1; }
    took=$(($(date +%s%N) - began))
    stored=$(PGPASSWORD=bench "${admin[@]}" -c 'select count(*) from loaded')
    [[ $stored == "$5" ]] || { echo "$stored rows are stored of $5" >&2; return 1; }
    python3 - "$1" "$2" "$5" "$took" "${straight:-0}" <<'PY'
import sys
form, name, rows, took, straight = *sys.argv[1:3], *map(float, sys.argv[3:6])
rate = rows / took * 1e9
print(f"| {form} | {name} | {rate:.0f} | {rate / straight if straight else 1:.2f} |")
PY
    [[ -n $straight ]] || straight=$(python3 -c "print($5 / $took * 1e9)")
}
