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

# Two gates over the same data, one of which learns, asked in turn: machines that change their speed change it for both.
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
        until overhead_tps "$port" 1 >"$work/warm.log" 2>&1; do
            kill -0 "$off" "$on"
            sleep 0.2
        done
    done
    echo "| round | off, queries/s | on, queries/s | on ÷ off |"
    echo "|---|---|---|---|"
    for ((n = 1; n <= ${ROUNDS:-10}; n++)); do
        # Who begins changes from round to round.
        if ((n % 2)); then
            tps_off=$(overhead_tps "$off_port" "$SECONDS_EACH"); tps_on=$(overhead_tps "$on_port" "$SECONDS_EACH")
        else
            tps_on=$(overhead_tps "$on_port" "$SECONDS_EACH"); tps_off=$(overhead_tps "$off_port" "$SECONDS_EACH")
        fi
        awk -v n="$n" -v off="$tps_off" -v on="$tps_on" 'BEGIN { printf "| %d | %d | %d | %.4f |\n", n, off, on, on / off }'
    done | tee "$work/rounds"
    sed 's/.*| \([0-9.]*\) |$/\1/' "$work/rounds" | sort -n | awk '
        { ratio[NR] = $1 }
        END {
            median = NR % 2 ? ratio[(NR + 1) / 2] : (ratio[NR / 2] + ratio[NR / 2 + 1]) / 2
            printf "\nmedian %.4f, so learning takes %.2f%% of the throughput (bar: 1%%); least %.4f, greatest %.4f\n",
                median, 100 * (1 - median), ratio[1], ratio[NR]
        }'
    PGPASSWORD=demo-ada psql -XAt -h 127.0.0.1 -p "$on_port" -U ada demo \
        -c "SELECT 'records taken ' || taken || ', dropped ' || dropped || ', written singly ' || written FROM querygate.telemetry"
    # shellcheck disable=SC2086
    kill $gate
    wait "$off" "$on" || true
    gate=
}

serve_demo() {
    "$programs/querygate" serve -c "$work/demo/$1.toml" --pg "127.0.0.1:$2" --http 127.0.0.1:0 --flight 127.0.0.1:0 \
        >"$work/$1.log" 2>&1 &
}

overhead_tps() {
    PGPASSWORD=demo-ada pgbench -n -M prepared -f "$work/one.sql" -T "$2" -c "${OVERHEAD_CLIENTS:-8}" -j 1 -h 127.0.0.1 -p "$1" -U ada demo \
        2>"$work/pgbench.err" | sed -n 's/^tps = \([0-9]*\).*/\1/p' | grep .
}

# Five minutes of `querygate demo --traffic`, judged by a test that prints what it found; SCREENSHOTS names a folder for pictures.
run_demo() {
    $CARGO build --profile "$PROFILE" --bin querygate
    printf '\n### Five minutes of the demo with traffic\n\n%s\n\n' "$(machine)"
    QUERYGATE_BIN=$(realpath "$programs/querygate") QUERYGATE_SCREENSHOTS=${SCREENSHOTS:-$work/pages} \
        $CARGO test -q -p querygate-tests --test demo_traffic -- --ignored --nocapture
}
