# Benches that need servers beside PostgreSQL, or peers; read by `run`, which has the functions that are not here.

# pgbench's point query by primary key, prepared: straight, through PgBouncer, and through the gate under a row policy.
run_pooled() {
    command -v pgbouncer >/dev/null || { echo "SKIPPED: PgBouncer is absent (apt-get install pgbouncer)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench pgbench -i -q -s "$BENCH_SCALE" -h 127.0.0.1 -p "$pg_port" -U bench postgres >"$work/pgbench.init" 2>&1
    start_pgbouncer
    start_gate bench_pgbench_accounts 'bid >= 1'
    local older= older_pg= newer=$gate newer_pg=$gate_pg
    if [[ -n ${BEFORE:-} ]]; then
        GATE=$BEFORE serve_gate
        older=$gate older_pg=$gate_pg gate=$newer gate_pg=$newer_pg
    fi
    printf '\n### pgbench -S -M prepared, scale %s, %s s each\n\n%s\n\n' "$BENCH_SCALE" "$SECONDS_EACH" "$(machine)"
    echo "| server | clients | transactions/s | mean ms | its CPU µs a transaction | ÷ PgBouncer |"
    echo "|---|---|---|---|---|---|"
    echo "\\set aid random(1, 100000 * $BENCH_SCALE)" >"$work/select.sql"
    echo 'SELECT abalance FROM pgbench_accounts WHERE aid = :aid;' >>"$work/select.sql"
    # Connections of a thousand clients need as many files.
    ulimit -n "$(ulimit -Hn)"
    for clients in $POOL_CLIENTS; do
        pooled_tps=
        if [[ $clients -le 100 ]]; then
            pooled "PgBouncer, session" "$pgbouncer_port" postgres "$clients" "$pgbouncer" prepared
        else
            # More clients than the server has connections: PgBouncer 1.18 shares them without prepared statements only.
            pooled "PgBouncer, transaction, -M extended" "$pgbouncer_port" shared "$clients" "$pgbouncer" extended
        fi
        pooled "Querygate, row policy" "${gate_pg##*:}" demo "$clients" "$gate" prepared
        [[ -z $older ]] || pooled "Querygate before, row policy" "${older_pg##*:}" demo "$clients" "$older" prepared
        [[ $clients -gt 100 ]] || pooled "PostgreSQL 15, direct" "$pg_port" postgres "$clients" "" prepared
    done
    kill $gate $older && wait $gate $older || true
    kill -INT "$pgbouncer" && wait "$pgbouncer" || true
    gate= pgbouncer=
}

# pooled NAME PORT DATABASE CLIENTS PROCESS PROTOCOL
pooled() {
    local before=0 after=0 threads=1
    [[ $4 -ge 100 ]] && threads=2
    [[ -n $5 ]] && before=$(ticks "$5")
    PGPASSWORD=bench pgbench -n -M "$6" -f "$work/select.sql" -T "$SECONDS_EACH" -c "$4" -j "$threads" -h 127.0.0.1 -p "$2" \
        -U bench "$3" >"$work/pgbench.log" 2>&1 || { tail -5 "$work/pgbench.log" >&2; return 1; }
    [[ -n $5 ]] && after=$(ticks "$5")
    python3 - "$1" "$4" "$((after - before))" "${pooled_tps:-0}" "$work/pgbench.log" <<'PY'
import re, sys
name, clients, ticks, pooler, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), open(sys.argv[5]).read()
count = int(re.search(r"actually processed: (\d+)", log).group(1))
if count == 0:
    sys.exit(print(f"| {name} | {clients} | none | | | |"))
value = lambda words: float(re.search(words + r" = ([0-9.]+)", log).group(1))
tps, mean = value("tps"), value("latency average")
cpu = f"{ticks * 10_000 / count:.1f}" if ticks else "–"
print(f"| {name} | {clients} | {tps:.0f} | {mean:.3f} | {cpu} | {tps / pooler if pooler else 1:.2f} |")
PY
    [[ -n $pooled_tps ]] || pooled_tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log")
}

# CPU of a process so far, in hundredths of a second.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }

start_pgbouncer() {
    pgbouncer_port=$(free_port)
    cat >"$work/pgbouncer.ini" <<INI
[databases]
postgres = host=127.0.0.1 port=$pg_port dbname=postgres pool_mode=session pool_size=100
shared = host=127.0.0.1 port=$pg_port dbname=postgres pool_mode=transaction pool_size=16
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pgbouncer_port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $work/pgbouncer.users
max_client_conn = 2000
ignore_startup_parameters = extra_float_digits
INI
    echo '"bench" "bench"' >"$work/pgbouncer.users"
    [[ $(id -u) == 0 ]] && chown postgres "$work/pgbouncer.ini" "$work/pgbouncer.users"
    # It refuses to run as root.
    (cd / && exec $(setpriv_postgres) pgbouncer -q "$work/pgbouncer.ini") >"$work/pgbouncer.log" 2>&1 &
    pgbouncer=$!
    until PGPASSWORD=bench psql -q -h 127.0.0.1 -p "$pgbouncer_port" -U bench -d postgres -c 'select 1' >/dev/null 2>&1; do
        kill -0 "$pgbouncer" || { cat "$work/pgbouncer.log" >&2; exit 1; }
        sleep 0.1
    done
}

setpriv_postgres() { [[ $(id -u) == 0 ]] && echo setpriv --reuid postgres --regid postgres --clear-groups || true; }

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# The environment of Python's clients that move Arrow; made once.
arrow_clients() {
    local home=${QUERYGATE_CACHE:-$HOME/.cache/querygate}/extract-peers
    if [[ ! -e $home/ready ]]; then
        python3 -m venv "$home"
        "$home/bin/pip" -q --disable-pip-version-check install pyarrow adbc-driver-manager==1.13.0 adbc-driver-postgresql==1.13.0 \
            adbc-driver-flightsql==1.13.0 connectorx==0.4.6 duckdb==1.5.5 duckdb-extensions==1.5.5 \
            duckdb-extension-postgres-scanner==1.5.5 'psycopg[binary]==3.3.9'
        touch "$home/ready"
    fi
    echo "$home"
}

# Ten columns of PostgreSQL into a client's Arrow table: through the gate's ports, and straight from the server.
run_extract() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local home rows=$ROWS
    home=$(arrow_clients)
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -v ON_ERROR_STOP=1 >"$work/fill.log" <<SQL
create table if not exists fetched as select i::int8 as id, (i % 100)::int4 as part,
    case when i % 11 <> 0 then i::int8 * 1000003 end as big, i::float8 / 7 as ratio,
    (((i::int8 * 7919) % 100000000)::numeric / 100)::numeric(15,2) as amount, date '2022-01-08' + i % 1000 as day,
    timestamp '2024-01-01' + i * interval '1001 milliseconds' as at, i % 3 = 0 as open,
    (array['red','orange','yellow','green','cyan','blue','violet','white'])[1 + i % 8] as color,
    'customer number ' || i as name from generate_series(0, $ROWS - 1) i;
alter table fetched add primary key (id);
vacuum analyze fetched;
SQL
    start_gate bench_fetched 'part >= 0' apart
    printf '\n### %s rows x 10 columns of PostgreSQL into a client, best of %s\n\n%s\n\n' "$ROWS" "$RUNS" "$(machine)"
    "$home/bin/python" bench/peer_extract.py "$pg_port" "$gate_pg" "$gate_flight" "$gate" "$ROWS" "$RUNS"
    kill "$gate" && wait "$gate" || true
    gate=
}

# Ten columns out of PostgreSQL into Arrow, against binary COPY.
run_fetched() {
    build --example fetch
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    printf '\n### %s rows x 10 columns out of PostgreSQL, best of three\n\n%s\n\n' "$ROWS" "$(machine)"
    "$bin/fetch" postgres "$pg_port" "$ROWS"
}

# Documents out of MongoDB into Arrow, against raw batches.
run_documents() {
    local home=${QUERYGATE_MONGODB:-${QUERYGATE_CACHE:-$HOME/.cache/querygate}/mongodb-8.2.0}
    [[ -x $home/mongod ]] || { echo "SKIPPED: MongoDB, $home is absent (.ci/mongodb installs it)"; return 0; }
    build --example fetch
    mkdir -p "$work/mongo"
    mongo_port=$(free_port)
    LD_LIBRARY_PATH=$home/lib "$home/mongod" --dbpath "$work/mongo" --port "$mongo_port" --bind_ip 127.0.0.1 --nounixsocket \
        --wiredTigerCacheSizeGB 1 --setParameter diagnosticDataCollectionEnabled=false --logpath "$work/mongo.log" >"$work/mongo.out" 2>&1 &
    mongo=$!
    until (exec 8<>"/dev/tcp/127.0.0.1/$mongo_port") 2>/dev/null; do
        kill -0 "$mongo" || { tail -5 "$work/mongo.log" >&2; exit 1; }
        sleep 0.1
    done
    printf '\n### %s documents of ten fields out of MongoDB, best of three\n\n%s\n\n' "$DOCUMENTS" "$(machine)"
    "$bin/fetch" mongodb "$mongo_port" "$DOCUMENTS"
    kill "$mongo" && wait "$mongo" || true
    mongo=
}

# Plan advice on a live PostgreSQL with all tables of TPC-H and of STATS: rounds to learn from for at most LEARN_SECONDS, then
# ROUNDS of each kind in turns. Of STATS-CEB the statements are asked that the server itself answers within SLOWEST milliseconds.
# One process answers each statement: on two cores, which the gate and its client share, more make times depend on who else runs.
run_live() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local home=${QUERYGATE_CACHE:-$HOME/.cache/querygate}/live-plans
    if [[ ! -e $home/filled ]]; then
        python3 -m venv "$home"
        "$home/bin/pip" -q --disable-pip-version-check install 'psycopg[binary]==3.3.9' duckdb==1.5.5
        touch "$home/filled"
    fi
    REMOTE=all FEDERATED_RUNS=1 run_federated >"$work/filled"
    [[ -n $postgres ]] || { cat "$work/filled"; return 0; }
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres \
        -c 'ALTER DATABASE postgres SET max_parallel_workers_per_gather = 0'
    local data=${QUERYGATE_SHARED:-../shared}/data ceb=-
    if [[ -d $data/stats_db ]]; then
        "$home/bin/python" bench/fill_stats.py "127.0.0.1:$pg_port" "$data/stats_db" "$work/rows.csv"
        ceb=$data/cardinality/stats_ceb_queries.sql
    fi
    LEARNS=yes start_gate bench_orders 'o_orderkey >= 1' apart
    printf '\n### Plan advice on PostgreSQL, TPC-H at scale %s and STATS\n\n%s\n\n' "$SCALE" "$(machine)"
    [[ $ceb != - ]] || printf 'SKIPPED: STATS, %s is absent (set QUERYGATE_SHARED): TPC-H alone.\n\n' "$data/stats_db"
    "$home/bin/python" bench/live_plans.py "$gate_pg" "127.0.0.1:$pg_port" "$ceb" "${SLOWEST:-100}" "${LEARN_SECONDS:-540}" "${ROUNDS:-7}"
    kill "$gate" && wait "$gate" || true
    gate=
}

# The 22 statements with orders and lineitem in PostgreSQL and the rest in Parquet, the gate against DuckDB and its scanner.
run_duckdb() { against_duckdb "orders lineitem" ""; }

# The same with customer in MariaDB.
run_mixed() { against_duckdb "orders lineitem" customer; }

# All tables in Parquet, the gate against DuckDB, two threads each.
run_local() { against_duckdb none ""; }

# All tables in PostgreSQL: through the gate, and the same text straight to the server in turns.
run_single() { REMOTE=all FEDERATED_RUNS=$RUNS run_federated; }

# Parquet, then PostgreSQL with the specification's types and keys: on introspected metadata, on the sources' own types, and
# alone, in turns.
run_introspected() {
    build --example introspected
    local folder=${CARGO_TARGET_DIR:-target}/tpch-$SCALE rows=$ROWS
    printf '\n### TPC-H on introspected Parquet\n\n'
    "$bin/introspected" parquet "$folder" "$SCALE" "$RUNS"
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres -c 'CREATE DATABASE bench' \
        -c 'ALTER DATABASE bench SET max_parallel_workers_per_gather = 2'
    printf '\n### TPC-H on introspected PostgreSQL\n\n'
    "$bin/introspected" postgres "$folder" "$SCALE" "$pg_port" "$RUNS"
}

# DuckDB's environment in Python; made once.
duckdb_home() {
    local home=${QUERYGATE_CACHE:-$HOME/.cache/querygate}/duckdb-1.5.5
    if [[ ! -e $home/scanners ]]; then
        python3 -m venv "$home"
        "$home/bin/pip" -q --disable-pip-version-check install duckdb==1.5.5 duckdb-extensions==1.5.5 \
            duckdb-extension-postgres-scanner==1.5.5 duckdb-extension-mysql-scanner==1.5.5
        touch "$home/scanners"
    fi
    echo "$home"
}

# `against_duckdb TABLES TABLES`: those in PostgreSQL, and those in MariaDB.
against_duckdb() {
    local home
    home=$(duckdb_home)
    if [[ -n $2 ]]; then start_mariadb "$2" || return 0; fi
    export ANSWERS=$work/answers
    REMOTE=$1 MARIADB=${2:-none} FEDERATED_RUNS=$RUNS run_federated >"$work/gate.table"
    cat "$work/gate.table"
    [[ -n $postgres ]] || return 0
    "$home/bin/python" bench/peer_duckdb.py "${CARGO_TARGET_DIR:-target}/tpch-$SCALE" "$work/gate.table" "$RUNS" \
        "postgres:$pg_port:$1" "mysql:${MARIADB_PORT:-0}:${2:-none}"
    unset ANSWERS
    if [[ -n $mariadb ]]; then
        kill "$mariadb" && wait "$mariadb" || true
        mariadb=
    fi
}

# `start_mariadb TABLES`: a server whose database tpch holds those tables of TPC-H.
start_mariadb() {
    [[ -x /usr/sbin/mariadbd ]] || { echo "SKIPPED: MariaDB is absent (apt-get install mariadb-server)"; return 1; }
    build --example federated
    local home=$work/maria as_root=
    [[ $(id -u) == 0 ]] && as_root=--user=root
    mkdir -p "$home/tmp"
    mariadb-install-db --no-defaults --datadir="$home/data" $as_root --auth-root-authentication-method=normal --skip-test-db \
        >"$work/maria.install" 2>&1
    export MARIADB_PORT
    MARIADB_PORT=$(free_port)
    /usr/sbin/mariadbd --no-defaults --datadir="$home/data" $as_root --tmpdir="$home/tmp" --socket="$home/s" --pid-file="$home/pid" \
        --log-error="$home/err" --port="$MARIADB_PORT" --bind-address=127.0.0.1 --skip-name-resolve --local-infile=1 \
        --innodb-buffer-pool-size=512M --innodb-flush-method=nosync >"$work/maria.out" 2>&1 &
    mariadb=$!
    local client=(mariadb --no-defaults -uroot --socket="$home/s" --local-infile=1)
    until "${client[@]}" -e 'SELECT 1' >"$work/maria.client" 2>&1; do
        kill -0 "$mariadb" || { tail -5 "$home/err" >&2; exit 1; }
        sleep 0.2
    done
    # shellcheck disable=SC2086
    "$bin/federated" mariadb "$work" "$SCALE" $1
    "${client[@]}" -e "CREATE DATABASE tpch CHARACTER SET utf8mb4; CREATE USER 'bench'@'127.0.0.1' IDENTIFIED BY 'bench';
        GRANT SELECT, SHOW VIEW ON *.* TO 'bench'@'127.0.0.1'"
    local table
    for table in $1; do "${client[@]}" tpch <"$work/$table.sql" >"$work/maria.fill"; done
}
