# Everyday functions, computed in the gate over Parquet and by PostgreSQL, a core each; read by `run`, which has what is not here.

# FUNCTION_ROWS (1000000), THREADS (1: PostgreSQL has no parallel workers then, else one less), ONLY (a pattern of names).
run_functions() {
    build --example functions
    local rows=$ROWS count=${FUNCTION_ROWS:-1000000} threads=${THREADS:-1}
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    mkdir -p "$work/facts"
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/fill.log" <<SQL
ALTER DATABASE postgres SET max_parallel_workers_per_gather = $((threads - 1));
ALTER DATABASE postgres SET timezone = 'UTC';
CREATE TABLE facts AS
    SELECT i AS id, (i % 1000)::int4 AS grp, (ARRAY['north', 'south', 'east', 'west', 'center'])[1 + i % 5] AS few,
        date '2020-01-01' + (i * 7919 % 1461)::int4 AS day, at, at AT TIME ZONE 'UTC' AS seen,
        (i * 7919 % 10000000)::numeric(12, 2) / 100 AS amount, (i * 7919 % 1000003) / 7.0::float8 AS x,
        (i * 104729 % 1000003) / 11.0::float8 AS y, (i * 7919 % 100000)::int4 AS n, 'customer number ' || i AS name,
        'alpha-' || i % 1000 || ',beta-' || i % 77 || ',gamma' AS csv, 'user' || i || '@mail' || i % 50 || '.example.com' AS mail,
        (date '2020-01-01' + (i * 7919 % 1461)::int4)::text AS day_text, to_char(at, 'YYYY-MM-DD HH24:MI:SS') AS at_text,
        to_char((i * 7919 % 10000000) / 100.0, 'FM999,990.00') AS price_text
    FROM (SELECT i, timestamp '2020-01-01' + i * 7919 % 126230400 * interval '1 second' + i * 37 % 1000000 * interval '1 microsecond' AS at
        FROM generate_series(0::int8, $count - 1) i) q;
ALTER TABLE facts ALTER amount TYPE numeric(12, 2);
VACUUM ANALYZE facts;
\copy facts TO '$work/facts.csv' (FORMAT csv)
SQL
    "$bin/functions" make "$work/facts.csv" "$work/facts/facts.parquet"
    launch functions serve "$work/facts" "$threads"
    printf '\n### Everyday functions over %s rows, %s thread(s) each, best of %s in turns\n\n%s\n\n' "$count" "$threads" "$RUNS" "$(machine)"
    python3 bench/functions.py "$address" "127.0.0.1:$pg_port" "$RUNS" "${ONLY:-}"
    printf '\n%s\n' "$(machine)"
    stop
}
