# What is learnt against its bars, what learning costs, and what the demo shows of it. Sourced by bench/run.

# Cardinality, plan advice, anomalies and the speed of models: one table with the bars. The data is public; see
# bench/learning/examples/bars.rs. CHECK=yes fails when a must is missed.
run_learning() {
    local data=${QUERYGATE_SHARED:-../shared}/data
    [[ -d $data ]] || { echo "SKIPPED: the data sets, $data is absent (set QUERYGATE_SHARED)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate-bench-learning --example bars
    printf '\n### What is learnt, against its bars\n\n%s\n\n' "$(machine)"
    "$bin/bars" "$data" ${CHECK:+--check}
}

# Joins of a large table in one source with a small one in another, both ways round: what the gate chooses against fixed rules.
# CHECK=yes fails where the default takes more than 1.1 times the best rule's time; ONLY="Parquet few" names cases.
run_choices() {
    build --example choices
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    # As the server is shipped.
    PGPASSWORD=bench "$PG_BIN/psql" -q -h 127.0.0.1 -p "$pg_port" -U bench -d postgres \
        -c 'ALTER DATABASE postgres SET max_parallel_workers_per_gather = 2'
    printf '\n### Cross-source choices\n\n%s\n\n' "$(machine)"
    "$bin/choices" "$work/choices" "${CHOICE_ROWS:-300000}" "$pg_port"
}

# Advice on indexes for TPC-H at scale 1 by PostgreSQL with HypoPG: planner's cost at each budget, then predicted against measured
# times with what is advised at 400 MB built. CHECK=yes fails when a must is missed.
run_index() {
    local control=("$PG_BIN"/../../../../share/postgresql/*/extension/hypopg.control)
    [[ -e ${control[0]} ]] ||
        { echo "SKIPPED: advice on indexes, HypoPG is absent (apt-get install postgresql-15-hypopg)"; return 0; }
    build --example federated
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate-postgres --example index_tpch
    local rows=$ROWS
    ROWS=1000
    start_postgres || return 0
    ROWS=$rows
    local tables=(region nation supplier customer part partsupp orders lineitem) table
    local psql=("$PG_BIN/psql" -qX -h 127.0.0.1 -p "$pg_port" -U bench -v ON_ERROR_STOP=1)
    export PGPASSWORD=bench
    "${psql[@]}" -d postgres -c 'CREATE DATABASE advised'
    "${psql[@]}" -d advised -c 'CREATE EXTENSION hypopg' -f bench/tpch.sql
    mkdir "$work/rows"
    "$bin/federated" mariadb "$work/rows" 1 "${tables[@]}"
    for table in "${tables[@]}"; do
        "${psql[@]}" -d advised -c "\\copy $table FROM '$work/rows/$table.tsv'"
        rm "$work/rows/$table.tsv"
    done
    # As a server is shipped, but without compiling statements.
    "${psql[@]}" -d advised -c 'VACUUM ANALYZE' -c 'ALTER DATABASE advised SET max_parallel_workers_per_gather = 2' \
        -c 'ALTER DATABASE advised SET jit = off'
    printf '\n### Advice on indexes, TPC-H at scale 1\n\n%s\n\n' "$(machine)"
    "$bin/index_tpch" tests/tpch/queries 127.0.0.1 "$pg_port" bench advised
    "${psql[@]}" -d advised -c "ALTER DATABASE advised SET work_mem = '64MB'"
    printf '\nBuilt at 400 MB of own sizes, best of three runs without and with the indexes in turns:\n\n'
    "$bin/index_tpch" --build tests/tpch/queries 127.0.0.1 "$pg_port" bench advised
}

# Two gates over the same data, one of which learns, asked in turn in many short rounds: machines that change their speed change it
# for both. What counts is what the gate itself spends on each query, the learning thread's part and what it does after a round
# included: instructions where `perf` can count them, which do not change with the machine's speed, and CPU time. Throughput says
# more of how the cores are shared with pgbench.
run_overhead() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" --bin querygate
    "$programs/querygate" demo --seed-only --dir "$work/demo" >"$work/seed.log" 2>&1
    printf '\n### Learning on against off, point queries of %s clients, pgbench\n\n%s\n\n' "${OVERHEAD_CLIENTS:-8}" "$(machine)"
    local config off on off_port on_port n counts=
    # Where the processor gives `perf` no counters, it says so in their place.
    perf stat -x, -e instructions:u,instructions:k -o "$work/perf.try" true 2>"$work/perf.log" &&
        grep -q '^[0-9]' "$work/perf.try" && counts=yes
    config=$(<"$work/demo/querygate.toml")
    printf '%s\n' "$config" >"$work/demo/off.toml"
    printf '%s\n[learning]\ndirectory = "learnt"\n' "$config" >"$work/demo/on.toml"
    off_port=$(free_port)
    serve_demo off "$off_port"
    off=$!
    on_port=$(free_port)
    serve_demo on "$on_port"
    on=$!
    gate="$off $on"
    echo "SELECT name, industry FROM accounts WHERE id = 'acc_00042'" >"$work/one.sql"
    for port in "$off_port" "$on_port"; do
        until overhead_queries "$port" 2 >"$work/warm.log" 2>&1; do
            kill -0 "$off" "$on"
            sleep 0.2
        done
    done
    echo "| round | off, CPU µs a query | on − off | off, instructions in user space | on − off | off, in the kernel | on − off | learning thread, µs a query | off, queries/s | on, queries/s | learning thread, instructions |"
    echo "|---|---|---|---|---|---|---|---|---|---|---|"
    for ((n = 1; n <= ${ROUNDS:-20}; n++)); do
        # Who begins changes from round to round.
        if ((n % 2)); then
            round "$off" "$off_port" off; round "$on" "$on_port" on
        else
            round "$on" "$on_port" on; round "$off" "$off_port" off
        fi
        awk -v n="$n" -v seconds="$SECONDS_EACH" '
            NR == 1 { split($0, off) }
            NR == 2 { printf "| %d | %.2f | %+.2f | %d | %+d | %d | %+d | %.2f | %d | %d | %d |\n", n, off[1], $1 - off[1],
                off[4], $4 - off[4], off[5], $5 - off[5], $3, off[2] / seconds, $2 / seconds, $6 }
        ' "$work/round.off" "$work/round.on"
    done | tee "$work/rounds"
    printf '\nA query, medians of the rounds:\n\n'
    of_median 2 3 '- %.2f µs of CPU on %.2f, %+.2f%% (bar: 1%%)\n'
    if [[ -n $counts ]]; then
        of_median 4 5 '- %.0f instructions in user space on %.0f, %+.2f%%\n'
        of_median 6 7 '- %.0f instructions in the kernel on %.0f, %+.2f%%\n'
        awk -F'|' '{ print "|" $5 + $7 "|" $6 + $8 }' "$work/rounds" >"$work/both"
        of_median 1 2 '- %.0f instructions in all on %.0f, %+.2f%% (bar: 1%%)\n' "$work/both"
        # What is done once a second is shared by as many queries as come.
        awk -F'|' '{ print "|" $5 + $7 "|" $12 }' "$work/rounds" >"$work/thread"
        of_median 1 2 '- %.0f of these instructions are the learning thread, on %.0f, %+.2f%%\n' "$work/thread"
    else
        echo "perf is absent, may not count or has no counters: no instructions"
    fi
    of_median 2 8 '- the learning thread %.2f µs of it on %.2f, %+.2f%%\n'
    PGPASSWORD=demo-ada psql -XAt -h 127.0.0.1 -p "$on_port" -U ada demo \
        -c "SELECT 'records taken ' || taken || ', dropped ' || dropped || ', written singly ' || written FROM querygate.telemetry"
    # shellcheck disable=SC2086
    kill $gate
    wait "$off" "$on" || true
    gate=
}

# A column of differences against one of sizes, by their medians: `of_median SIZES DIFFERENCES FORMAT [FILE]`.
of_median() {
    local file=${4:-$work/rounds}
    awk -v size="$(middle "$1" "$file")" -v more="$(middle "$2" "$file")" -v say="$3" \
        'BEGIN { printf say, more, size, 100 * more / size }'
}

# What one gate does for each query of one round: CPU µs, the queries, µs of its learning thread, instructions in user space, in the
# kernel, and of the learning thread in both: `round PID PORT NAME`. Two seconds after the round count too: by then the queue is empty
# and the batch is written.
round() {
    local before own queries counting= user=0 kernel=0 thread=0
    if [[ -n $counts ]]; then
        perf stat -x, --per-thread -e instructions:u,instructions:k -o "$work/perf.$3" -p "$1" &
        counting=$!
        sleep 0.2
    fi
    before=$(cpu_ticks "$1")
    own=$(learning_ns "$1")
    queries=$(overhead_queries "$2" "$SECONDS_EACH")
    sleep 2
    if [[ -n $counting ]]; then
        kill -INT "$counting"
        wait "$counting" || true
        # Lines of `comm-tid,count,,event,…`.
        user=$(awk -F, '$4 == "instructions:u" { sum += $2 } END { printf "%.0f", sum }' "$work/perf.$3")
        kernel=$(awk -F, '$4 == "instructions:k" { sum += $2 } END { printf "%.0f", sum }' "$work/perf.$3")
        thread=$(awk -F, '/^learning-/ { sum += $2 } END { printf "%.0f", sum }' "$work/perf.$3")
    fi
    awk -v ticks="$(($(cpu_ticks "$1") - before))" -v hertz="$(getconf CLK_TCK)" -v own="$(($(learning_ns "$1") - own))" \
        -v queries="$queries" -v user="$user" -v kernel="$kernel" -v thread="$thread" \
        'BEGIN { print 1e6 * ticks / hertz / queries, queries, own / 1e3 / queries, user / queries, kernel / queries, thread / queries }' \
        >"$work/round.$3"
}

# Nanoseconds on a processor of the thread that learns.
learning_ns() {
    local task sum=0 ns
    for task in /proc/"$1"/task/*; do
        [[ $(<"$task/comm") == learning ]] || continue
        read -r ns _ <"$task/schedstat"
        sum=$((sum + ns))
    done
    echo "$sum"
}

# User and system time of a process, all threads.
cpu_ticks() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# The median of a column of the rounds.
middle() {
    cut -d'|' -f"$(($1 + 1))" "$2" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

serve_demo() {
    "$programs/querygate" serve -c "$work/demo/$1.toml" --pg "127.0.0.1:$2" --http 127.0.0.1:0 --flight 127.0.0.1:0 \
        >"$work/$1.log" 2>&1 &
}

overhead_queries() {
    PGPASSWORD=demo-ada pgbench -n -M prepared -f "$work/one.sql" -T "$2" -c "${OVERHEAD_CLIENTS:-8}" -j 1 -h 127.0.0.1 -p "$1" -U ada demo \
        2>"$work/pgbench.err" | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' | grep .
}

# Five minutes of `querygate demo --traffic`, judged by a test that prints what it found; SCREENSHOTS names a folder for that and
# for pictures of the pages.
run_demo() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" --bin querygate
    printf '\n### Five minutes of the demo with traffic\n\n%s\n\n' "$(machine)"
    QUERYGATE_BIN=$(realpath "$programs/querygate") SCREENSHOTS=$(realpath -m "${SCREENSHOTS:-$work/pages}") \
        $CARGO test -q -p querygate-tests --test demo_traffic -- --ignored --nocapture
}
