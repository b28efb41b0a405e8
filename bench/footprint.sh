# What a gate takes at rest, after a burst, and to describe its relations; models, planning and tests. Read by `run`, which has the functions that
# are not here.

# KiB of a process by a name of /proc/PID/status.
resident_kb() { sed -n "s/^$2:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$1/status"; }

# footprint_row WHEN PID: what is resident, of that its own memory, and pages of files, which the system may drop.
footprint_row() {
    local all own
    all=$(resident_kb "$2" VmRSS) own=$(resident_kb "$2" RssAnon)
    echo "| $1 | $((all / 1024)) | $((own / 1024)) | $(((all - own) / 1024)) |"
}

# The program over the demo's data, on `port`.
start_demo() {
    "$programs/querygate" demo --seed-only --dir "$work/demo" >"$work/seed.log" 2>&1
    serve_seeded
}

serve_seeded() {
    port=$(free_port)
    "$programs/querygate" serve -c "$work/demo/querygate.toml" --pg "127.0.0.1:$port" --http 127.0.0.1:0 >"$work/demo.log" 2>&1 &
    gate=$!
    until PGPASSWORD=demo-ada psql -qXAt -h 127.0.0.1 -p "$port" -U ada demo -c 'SELECT 1' >"$work/demo.sql" 2>&1; do
        kill -0 "$gate" || { cat "$work/demo.log" >&2; exit 1; }
        sleep 0.2
    done
}

# `\d` of psql, all its statements: the first time of a relation, and after it.
run_described() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    printf '\n### What psql takes to describe a relation of the demo, ms\n\n%s\n\n' "$(machine)"
    local port
    start_demo
    PGPASSWORD=demo-ada python3 bench/described.py "$port"
    kill "$gate" && wait "$gate" || true
    gate=
}

# Resident memory beside its limits.
run_memory() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    printf '\n### Memory beside its limits\n\n%s\n\n' "$(machine)"
    python3 bench/memory.py "$programs/querygate" "${CURVE:-bench/curves/statements.svg}"
}

# Corrected estimates of rows, on data that training never saw.
run_cardinality() {
    local data=${QUERYGATE_SHARED:-../shared}/data/cardinality
    [[ -d $data ]] || { echo "SKIPPED: the shared data cardinality is absent (QUERYGATE_SHARED names its folder)"; return 0; }
    printf '\n### Estimates of rows\n\n%s\n\n' "$(machine)"
    $CARGO run -q --profile "$PROFILE" -p querygate-models --example cardinality -- "$data" ${HELD_OUT:+"$HELD_OUT"}
}

# The gate over the demo's data, which is a small stack: at rest, in a burst of groups that take some hundred megabytes, and behind it.
run_footprint() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local program=$programs/querygate stripped=$work/stripped burst
    strip -o "$stripped" "$program"
    printf '\n### Size and memory\n\n%s\n\n' "$(machine)"
    echo "The program: $(stat -c %s "$program" | awk '{ printf "%.0f", $1 / 1e6 }') MB, stripped $(stat -c %s "$stripped" | awk '{ printf "%.0f", $1 / 1e6 }') MB."
    local port
    start_demo
    sleep 5
    printf '\n| | MiB resident | its own | pages of files |\n|---|---|---|---|\n'
    footprint_row "at rest" "$gate"
    burst='SELECT count(*) FROM (SELECT md5(g::text) AS m, count(*) AS n FROM generate_series(1, 3000000) g GROUP BY 1) t'
    for _ in 1 2 3; do
        PGPASSWORD=demo-ada psql -qXAt -h 127.0.0.1 -p "$port" -U ada demo -c "$burst" >"$work/demo.sql" &
        local asking=$!
        while kill -0 "$asking" 2>"$work/kill.log"; do
            resident_kb "$gate" VmRSS >>"$work/footprint.kb"
            sleep 0.05
        done
        wait "$asking"
    done
    echo "| in the burst, at most | $(($(sort -n "$work/footprint.kb" | tail -1) / 1024)) | | |"
    for seconds in 10 50; do
        sleep "$seconds"
        footprint_row "$([[ $seconds == 10 ]] && echo ten seconds || echo a minute) behind it" "$gate"
    done
    kill "$gate" && wait "$gate" || true
    gate=
}

# From a touched driver to a running gate that answers: what somebody waits who changes one. Development profile, built before.
run_touched() {
    local programs=${CARGO_TARGET_DIR:-target}/debug port driver seconds
    $CARGO build -q -p querygate
    "$programs/querygate" demo --seed-only --dir "$work/demo" >"$work/seed.log" 2>&1
    printf '\n### A driver touched, to a gate that answers\n\n%s\n\n| driver | built, s | answers, s |\n|---|---|---|\n' "$(machine)"
    for driver in sqlite postgres files; do
        touch "drivers/$driver/src/lib.rs"
        seconds=$EPOCHREALTIME
        $CARGO build -q -p querygate
        local built=$EPOCHREALTIME
        serve_seeded
        awk -v from="$seconds" -v built="$built" -v to="$EPOCHREALTIME" -v name="$driver" \
            'BEGIN { printf "| %s | %.1f | %.1f |\n", name, built - from, to - from }'
        kill "$gate" && wait "$gate" || true
        gate=
    done
}

# The whole test suite, built before, as .ci/tests runs it: its closing line, and what took longest.
run_suite() {
    printf '\n### The test suite\n\n%s\n\n' "$(machine)"
    .ci/tests >"$work/suite.log" 2>&1 || echo "some failed: $(grep -c '^== FAILED' "$work/suite.log")"
    grep -E '^== [0-9]+ test programs' "$work/suite.log"
    printf '\n| program | s |\n|---|---|\n'
    sed -n 's/^== \(.*\): passed, \([0-9.]*\) s$/\2 \1/p' "$work/suite.log" | sort -rn | sed -n 1,12p | sed 's/^\([0-9.]*\) \(.*\)$/| \2 | \1 |/'
}

# Planning anew and by kept plans, with criterion.
run_planning() {
    printf '\n### Planning\n\n%s\n\n' "$(machine)"
    $CARGO bench -q -p querygate-bench --bench planning -- "${ONLY:-}" 2>"$work/planning.log" || { tail -5 "$work/planning.log" >&2; return 1; }
}
