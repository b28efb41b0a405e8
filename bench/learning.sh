# What is learnt against its bars, what learning costs, and what the demo shows of it. Sourced by bench/run.

# Cardinality, plan advice, anomalies and the speed of models: one table with the bars. The data is public; see
# models/examples/bars.rs. CHECK=yes fails when a must is missed.
run_learning() {
    local data=${QUERYGATE_SHARED:-shared}/data
    [[ -d $data ]] || { echo "SKIPPED: the data sets, $data is absent (set QUERYGATE_SHARED)"; return 0; }
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate-models --example bars
    printf '\n### What is learnt, against its bars\n\n%s\n\n' "$(machine)"
    "$bin/bars" "$data" ${CHECK:+--check}
}

# Two gates over the same data, one of which learns, asked in turn: machines that change their speed change it for both. What
# counts is the gate's own CPU for each query, the learning thread's and what it does after a round included; throughput says
# more of how the cores are shared with pgbench.
run_overhead() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" --bin querygate
    "$programs/querygate" demo --seed-only --dir "$work/demo" >"$work/seed.log" 2>&1
    printf '\n### Learning on against off, point queries of %s clients, pgbench\n\n%s\n\n' "${OVERHEAD_CLIENTS:-8}" "$(machine)"
    local config off on off_port on_port n
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
    echo "| round | off, CPU µs a query | on, CPU µs a query | on − off, µs | on ÷ off | learning thread, µs a query | off, queries/s | on, queries/s |"
    echo "|---|---|---|---|---|---|---|---|"
    for ((n = 1; n <= ${ROUNDS:-10}; n++)); do
        # Who begins changes from round to round.
        if ((n % 2)); then
            round "$off" "$off_port" off; round "$on" "$on_port" on
        else
            round "$on" "$on_port" on; round "$off" "$off_port" off
        fi
        awk -v n="$n" -v seconds="$SECONDS_EACH" '
            NR == 1 { off = $1; some = $2 }
            NR == 2 { printf "| %d | %.2f | %.2f | %+.2f | %.4f | %.2f | %d | %d |\n", n, off, $1, $1 - off, $1 / off, $3, some / seconds, $2 / seconds }
        ' "$work/round.off" "$work/round.on"
    done | tee "$work/rounds"
    middle 4 "$work/rounds" >"$work/more"
    middle 2 "$work/rounds" >"$work/without"
    middle 6 "$work/rounds" >"$work/beside"
    awk -F'|' '{ more += $5; off += $3 } END { printf "\nmean over all rounds: %.2f µs more on %.2f, so %.2f%%\n", more / NR, off / NR, 100 * more / off }' "$work/rounds"
    awk 'NR == 1 { more = $1 } NR == 2 { printf "median difference %.2f µs on a median of %.2f µs, so learning costs %.2f%% (bar: 1%%)\n", more, $1, 100 * more / $1 }' \
        "$work/more" "$work/without"
    awk 'NR == 1 { beside = $1 } NR == 2 { printf "of it the learning thread %.2f µs a query (median), %.2f%%\n", beside, 100 * beside / $1 }' \
        "$work/beside" "$work/without"
    PGPASSWORD=demo-ada psql -XAt -h 127.0.0.1 -p "$on_port" -U ada demo \
        -c "SELECT 'records taken ' || taken || ', dropped ' || dropped || ', written singly ' || written FROM querygate.telemetry"
    # shellcheck disable=SC2086
    kill $gate
    wait "$off" "$on" || true
    gate=
}

# CPU µs a query of one gate over one round, the queries, and µs a query of its learning thread: `round PID PORT NAME`. Two
# seconds after the round count too: by then the queue is empty and the batch is written.
round() {
    local before own queries
    before=$(cpu_ticks "$1")
    own=$(learning_ns "$1")
    queries=$(overhead_queries "$2" "$SECONDS_EACH")
    sleep 2
    awk -v ticks="$(($(cpu_ticks "$1") - before))" -v hertz="$(getconf CLK_TCK)" -v own="$(($(learning_ns "$1") - own))" -v queries="$queries" \
        'BEGIN { print 1e6 * ticks / hertz / queries, queries, own / 1e3 / queries }' >"$work/round.$3"
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
    QUERYGATE_BIN=$(realpath "$programs/querygate") QUERYGATE_SCREENSHOTS=$(realpath -m "${SCREENSHOTS:-$work/pages}") \
        $CARGO test -q -p querygate-tests --test demo_traffic -- --ignored --nocapture
}
