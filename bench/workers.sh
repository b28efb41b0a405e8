# A bench of workers; read by `run`, which has the functions that are not here.

# TPC-H over Parquet, on metadata as `introspect` writes it, with a row policy for user narrow: a gate alone on one core, then with a worker
# on a core of its own, then with two workers on a core each, while the gate may use both. WORKERS_SCALE (10), RUNS (best of),
# WORKERS_DATA (a folder with the tables, kept), MODES ("on auto"), QUERIES ("q01 q06"), USERS_OF ("bench narrow").
run_workers() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    local scale=${WORKERS_SCALE:-10} mode modes=${MODES:-on auto}
    tpch_lake "$scale"
    printf '\n### TPC-H at scale %s over workers, one core each, best of %s\n\n%s\n\n' "$scale" "$RUNS" "$(machine)"
    workers_keys
    : >"$work/workers"
    workers_gate ''
    workers_place 0
    workers_statements alone off
    stop_gate
    workers_start 1
    workers_gate "addresses = [\"localhost:${worker_ports[0]}\"]"
    workers_place 0 1
    for mode in $modes; do workers_statements one "$mode"; done
    stop_gate
    workers_stop
    workers_start 2
    workers_gate "addresses = [\"localhost:${worker_ports[0]}\", \"localhost:${worker_ports[1]}\"]"
    workers_place 0-1 0 1
    for mode in $modes; do workers_statements two "$mode"; done
    workers_statements two off
    stop_gate
    workers_stop
    python3 bench/workers_table.py "$work/workers"
}

# tpch_lake SCALE: the tables of TPC-H in the folder `lake`, made where they are not.
tpch_lake() {
    lake=${WORKERS_DATA:-$work/lake}
    if [[ ! -f $lake/lineitem.parquet ]]; then
        build --example tpch
        "$bin/tpch" "$lake" "$1"
    fi
}

# Files of the statements of TPC-H, or of QUERIES.
tpch_files() {
    local name
    for name in ${QUERIES:-q01 q02 q03 q04 q05 q06 q07 q08 q09 q10 q11 q12 q13 q14 q15 q16 q17 q18 q19 q20 q21 q22}; do
        echo "tests/tpch/queries/$name.sql"
    done
}

# The same by datafusion-distributed, with no policy and no gate: alone on one core, with one worker, with two. In the table MB are all bytes
# that were sent on the machine meanwhile.
run_distributed() {
    local scale=${WORKERS_SCALE:-10} target count
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}/distributed")
    (cd bench/distributed && CARGO_TARGET_DIR=$target $CARGO build --release --locked)
    tpch_lake "$scale"
    printf '\n### TPC-H at scale %s by datafusion-distributed, one core each, best of %s\n\n%s\n\n' "$scale" "$RUNS" "$(machine)"
    for count in 0 1 2; do
        timeout 1800 taskset -c "$([[ $count == 2 ]] && echo 0-1 || echo 0)" "$target/release/querygate-bench-distributed" "$lake" "$count" "$RUNS" $(tpch_files) \
            >>"$work/distributed"
    done
    python3 bench/workers_table.py "$work/distributed"
}

# The same by Spark in local mode, on one core.
run_spark() {
    command -v java >/dev/null || { echo "Spark wants a Java (openjdk-17-jre-headless)" >&2; exit 1; }
    local scale=${WORKERS_SCALE:-10} home=${QUERYGATE_CACHE:-$HOME/.cache/querygate}/spark
    if [[ ! -e $home/ready ]]; then
        python3 -m venv "$home"
        "$home/bin/pip" -q --disable-pip-version-check install pyspark==4.0.1
        touch "$home/ready"
    fi
    tpch_lake "$scale"
    printf '\n### TPC-H at scale %s by Spark 4.0.1 in local mode, one core, best of %s\n\n%s\n\n' "$scale" "$RUNS" "$(machine)"
    timeout 3600 taskset -c 0 "$home/bin/python" bench/peer_spark.py "$lake" "$RUNS" $(tpch_files) >"$work/spark"
    python3 bench/workers_table.py "$work/spark"
}

# STATEMENTS (1000) random statements of SEED (1) and the 22 of TPC-H over two workers, as a reader who sees all and as one with a row policy:
# workers off, on and auto, and DuckDB over the same Parquet. SCALE, WORKERS_DATA as above.
run_random() {
    [[ -n ${NO_BUILD:-} ]] || $CARGO build --profile "$PROFILE" -p querygate
    tpch_lake "$SCALE"
    local home=${QUERYGATE_CACHE:-$HOME/.cache/querygate}/random-peers status=0
    if [[ ! -e $home/ready ]]; then
        python3 -m venv "$home"
        "$home/bin/pip" -q --disable-pip-version-check install 'psycopg[binary]==3.3.9' duckdb==1.5.5
        touch "$home/ready"
    fi
    workers_keys
    workers_start 2
    # Small, so that `auto` takes workers at this scale, too.
    workers_gate "addresses = [\"localhost:${worker_ports[0]}\", \"localhost:${worker_ports[1]}\"]
min_bytes = \"${MIN_BYTES:-1MB}\""
    echo "$(machine)"
    PGPASSWORD=bench "$home/bin/python" bench/random_statements.py "$gate_pg" "$lake" --statements "${STATEMENTS:-1000}" --seed "${SEED:-1}" \
        ${ONLY:+--only $ONLY} || status=$?
    printf '\nWhat workers gave, by the gate:\n\n'
    curl -s "http://$gate_http/metrics" | grep '^querygate_worker' || true
    stop_gate
    workers_stop
    return "$status"
}

# Keys of seals and certificates, in the gate's folder.
workers_keys() {
    mkdir -p "$work/gate"
    (
        cd "$work/gate"
        openssl genpkey -algorithm ed25519 -out gate.key
        openssl pkey -in gate.key -pubout -out gate.pub
        echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
        for name in gatetls worker; do
            openssl req -newkey rsa:2048 -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
            openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$name.pem" -days 2 -extfile names
        done
    ) >"$work/keys.log" 2>&1 || { cat "$work/keys.log" >&2; exit 1; }
}

# workers_gate WORKERS: a gate over the tables, with these lines in its `[workers]`; empty: with no workers.
workers_gate() {
    if [[ ! -d $work/gate/metadata ]]; then
        (cd "$work/gate" && "$(gate_program)" introspect "$lake" --namespace tpch -o metadata) >"$work/introspect.log" 2>&1 \
            || { cat "$work/introspect.log" >&2; exit 1; }
        python3 - "$work/gate/metadata/tpch.json" <<'PY'
import copy, json, sys
path = sys.argv[1]
stack = json.load(open(path))
sets = stack["packages"][0]["manifest"]["permissions"]
narrow = {**copy.deepcopy(sets[0]), "name": "tpch_narrow"}
narrow["rowLevelSecurity"] = [
    {"name": "some_lines", "object": "tpch_lineitem", "operation": "select", "using": "l_quantity < 46.0"},
    {"name": "some_orders", "object": "tpch_orders", "operation": "select", "using": 'o_orderpriority != "5-LOW"'}]
sets.append(narrow)
json.dump(stack, open(path, "w"))
PY
    fi
    local verifier user set
    verifier=$(echo bench | "$(gate_program)" user add bench | sed -n '/^verifier/p')
    {
        printf '[server]\ndatabase = "demo"\n[limits]\nmemory_total = "8GB"\nmemory_per_user = "8GB"\nmemory_per_query = "8GB"\n'
        printf '[metadata]\npath = "metadata"\n[[sources]]\nname = "tpch"\nkind = "files"\npath = "%s"\n' "$lake"
        [[ -z $1 ]] || printf '[workers]\n%s\nsigning_key = "gate.key"\ntls_certificate = "gatetls.pem"\ntls_key = "gatetls.key"\ntls_ca = "ca.pem"\n' "$1"
        for user in bench narrow; do
            set=tpch_$([[ $user == bench ]] && echo reader || echo narrow)
            printf '[[users]]\nname = "%s"\n%s\nuser_id = "%s"\npermission_sets = ["%s"]\n' "$user" "$verifier" "$user" "$set"
        done
    } >"$work/gate/querygate.toml"
    serve_gate
}

# workers_start COUNT
workers_start() {
    local number port
    workers=() worker_ports=()
    for ((number = 0; number < $1; number++)); do
        port=$(free_port)
        cat >"$work/gate/worker-$number.toml" <<TOML
[worker]
listen = "127.0.0.1:$port"
address = "localhost:$port"
verification_key = "gate.pub"
tls_certificate = "worker.pem"
tls_key = "worker.key"
client_ca = "ca.pem"
memory = "4GB"
[[sources]]
name = "tpch"
path = "$lake"
TOML
        : >"$work/worker-$number.log"
        "$(gate_program)" worker -c "$work/gate/worker-$number.toml" >"$work/worker-$number.log" 2>&1 &
        workers+=($!)
        worker_ports+=("$port")
        until grep -q 'listens on' "$work/worker-$number.log"; do
            kill -0 "${workers[-1]}" || { cat "$work/worker-$number.log" >&2; exit 1; }
            sleep 0.1
        done
    done
}

workers_stop() {
    local worker
    for worker in "${workers[@]}"; do kill "$worker"; wait "$worker" || true; done
    workers=()
}

# workers_place GATE [WORKER...]: the cores of each, all of their threads.
workers_place() {
    local at=0 worker
    taskset -acp "$1" "$gate" >"$work/taskset.log"
    for worker in "${@:2}"; do
        taskset -acp "$worker" "${workers[$at]}" >>"$work/taskset.log"
        at=$((at + 1))
    done
}

# workers_statements NAME MODE: each statement as each user: time, CPU seconds of the gate and of the workers, bytes that came from workers.
workers_statements() {
    local user path number run
    for user in ${USERS_OF:-bench narrow}; do
        for path in $(tpch_files); do
            number=$(basename "$path" .sql)
            for ((run = 0; run < RUNS; run++)); do
                workers_run "$1" "$2" "$user" "$number" "$path"
            done
        done
    done
}

workers_run() {
    local before after started ended bytes
    before=$(workers_cpu) bytes=$(workers_bytes) started=$(date +%s%N)
    if PGPASSWORD=bench PGOPTIONS="-c statement_timeout=300s $([[ $1 == alone ]] || echo "-c querygate.workers=$2")" psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${gate_pg##*:}" -U "$3" demo -f "$5" \
        >"$work/answer" 2>&1; then
        ended=$(date +%s%N) after=$(workers_cpu)
        echo "$1 $2 $3 $4 $((ended - started)) $before $after $(($(workers_bytes) - bytes)) $(md5sum <"$work/answer" | cut -c-8)" >>"$work/workers"
    else
        echo "$1 $2: $3 $4: $(tail -1 "$work/answer")" >&2
    fi
}

# Ticks of user and system time: the gate's, and of all workers together.
workers_cpu() {
    local worker sum=0
    for worker in ${workers[@]+"${workers[@]}"}; do sum=$((sum + $(ticks "$worker"))); done
    echo "$(ticks "$gate") $sum"
}

workers_bytes() {
    curl -s "http://$gate_http/metrics" | awk '/^querygate_worker_bytes_total/ { sum += $NF } END { printf "%d\n", sum }'
}
