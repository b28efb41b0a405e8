#!/usr/bin/env bash
# sqlsmith: loads the whole catalog, then sends random queries. Their errors are PostgreSQL's kinds; none is internal, and no
# connection is lost.
. "$(dirname "$0")/matrix.sh"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

smith() { # user, queries, seed
  timeout 240 sqlsmith --target="host=127.0.0.1 port=$GATE_PORT dbname=demo user=$1 password=demo-$1" --max-queries="$2" \
    --seed="$3" --exclude-catalog --verbose >"$log" 2>&1
}

check_connect() { smith ada 1 1; contains tables "$(cat "$log")" 'done.'; }
check_tables() {
  # It generates from the tables that its catalog query gave.
  contains tables "$(cat "$log")" 'Loading tables...'
  as iris psql -XAtc "select 1" >/dev/null
}
check_own() {
  : >"$log.all"
  for seed in 1 2 3; do
    smith ada 100 "$seed"
    cat "$log" >>"$log.all"
  done
  smith sam 100 4
  cat "$log" >>"$log.all"
  if grep -qiE 'internal error|connection (to server )?(was lost|is lost)|server closed the connection|broken' "$log.all"; then
    grep -iE 'internal error|connection|broken' "$log.all" | sort | uniq -c | head -5 >&2
    rm -f "$log.all"
    return 1
  fi
  rm -f "$log.all"
  expect 'the gate lives' "$(as ada psql -XAtc 'select 1')" 1
  echo '400 random queries as two users: no internal error, no lost connection'
}

run_checks sqlsmith "$(dpkg-query -W -f '${Version}' sqlsmith | cut -d- -f1)"
