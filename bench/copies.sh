# Rows that a client sends to be stored; read by `run`, which has the functions that are not here.

# COPY FROM of COPY_ROWS rows by psql into PostgreSQL: straight, and through the gate into tables that are alike but for their rules: one
# has none; one a CHECK; one a CHECK, a validation, and a reference to one of ten thousand records. Before each, the table is emptied.
run_copied() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS count=${COPY_ROWS:-1000000}
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/tables.log" <<SQL
create table bare (id bigint primary key, name text, amount numeric(15,2), at timestamptz, level integer);
create table loaded (like bare including all);
create table ruled (like bare including all);
create table levels (level integer primary key);
insert into levels select generate_series(0, 9999);
create table given as select i::int8 as id, 'customer number ' || i as name, (((i::int8 * 7919) % 100000000)::numeric / 100)::numeric(15,2) as amount,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1001 milliseconds' as at, (i % 10000)::int4 as level from generate_series(1, $count) i;
\\copy given to '$work/given.text'
\\copy given to '$work/given.csv' csv
\\copy given to '$work/given.binary' binary
drop table given;
SQL
    start_changing_gate
    printf '\n### COPY FROM, %s rows of 5 columns with a key\n\n%s\n\n' "$count" "$(machine)"
    echo "| format | server | rows/s | ÷ PostgreSQL | its CPU µs a row | MiB at most |"
    echo "|---|---|---|---|---|---|"
    local format straight
    for format in ${COPY_FORMATS-text csv binary}; do
        straight=
        copied "$format" "PostgreSQL 15, direct" "$pg_port" postgres "$count" bare
        copied "$format" "Querygate, no rules" "${gate_pg##*:}" demo "$count" bare
        copied "$format" "Querygate, CHECK" "${gate_pg##*:}" demo "$count" loaded
        copied "$format" "Querygate, CHECK, reference, validation" "${gate_pg##*:}" demo "$count" ruled
    done
    ingested "$count"
    kill "$gate" && wait "$gate" || true
    gate=
}

# The same rows as Arrow batches: ADBC's own ingest into PostgreSQL, and Flight SQL's through the gate.
ingested() {
    printf '\n### Arrow batches appended, %s rows of 5 columns with a key\n\n' "$1"
    local admin=("$PG_BIN/psql" -qAt -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1) home way table
    home=$(arrow_clients)
    echo "| way | rows/s | ÷ ADBC |"
    echo "|---|---|---|"
    rm -f "$work/ingest.first"
    for way in adbc:bare flight:bare flight:loaded flight:ruled; do
        table=${way#*:}
        PGPASSWORD=bench "${admin[@]}" -c "truncate $table" -c "vacuum $table"
        "$home/bin/python" bench/peer_ingest.py "${way%:*}" "$table" "$1" "$pg_port" "$gate_flight" "$work/ingest.first"
        [[ $(PGPASSWORD=bench "${admin[@]}" -c "select count(*) from $table") == "$1" ]] || { echo "rows are missing" >&2; return 1; }
    done
}

# copied FORMAT NAME PORT DATABASE ROWS TABLE: as many rows must be there afterwards.
copied() {
    local admin=("$PG_BIN/psql" -qAt -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1) stored began took before=0 after=0 most=–
    PGPASSWORD=bench "${admin[@]}" -c "truncate $6" -c "vacuum $6"
    [[ $4 == demo ]] && before=$(ticks "$gate")
    began=$(date +%s%N)
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$3" -U bench -d "$4" -v ON_ERROR_STOP=1 \
        -c "\\copy $6 (id, name, amount, at, level) from '$work/given.$1' with (format $1)" >"$work/copied.log" 2>&1 ||
        { head -5 "$work/copied.log" >&2; return 1; }
    took=$(($(date +%s%N) - began))
    [[ $4 == demo ]] && after=$(ticks "$gate") && most=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$gate/status")
    stored=$(PGPASSWORD=bench "${admin[@]}" -c "select count(*) from $6")
    [[ $stored == "$5" ]] || { echo "$stored rows are stored of $5" >&2; return 1; }
    python3 - "$1" "$2" "$5" "$took" "${straight:-0}" "$((after - before))" "$most" <<'PY'
import sys
form, name, rows, took, straight, ticks, most = *sys.argv[1:3], *map(float, sys.argv[3:7]), sys.argv[7]
rate = rows / took * 1e9
cpu = f"{ticks * 10_000 / rows:.2f}" if ticks else "–"
print(f"| {form} | {name} | {rate:.0f} | {rate / straight if straight else 1:.2f} | {cpu} | {most} |")
PY
    [[ -n $straight ]] || straight=$(python3 -c "print($5 / $took * 1e9)")
}
