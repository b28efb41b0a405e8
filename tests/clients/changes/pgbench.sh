#!/usr/bin/env bash
# pgbench's own scripts, unmodified, over its own tables with a row policy and a CHECK. Its tables are made at the source: the gate has
# no DDL, so -i is refused.
. "$(dirname "$0")/../other/matrix.sh"
clients=4
[ "$SOURCE" = sqlite ] && clients=2

total() { as omar psql -X -At -c "select $1"; }

check_own() {
  local script mode out before after ran=0
  before=$(total "count(*) from pgbench_history")
  for script in tpcb-like simple-update select-only; do
    for mode in simple extended prepared; do
      # Without -n: it asks for VACUUM and TRUNCATE first, and goes on where they are refused.
      out=$(as omar pgbench -b "$script" -M "$mode" -c $clients -t 25 2>&1) || { echo "$out" >&2; return 1; }
      contains "transactions of $script in mode $mode" "$out" "number of transactions actually processed: $((clients * 25))/$((clients * 25))"
      contains "failures of $script in mode $mode" "$out" "number of failed transactions: 0"
      [ $script = select-only ] || ran=$((ran + clients * 25))
    done
  done
  after=$(total "count(*) from pgbench_history")
  expect "rows of the history" "$((after - before))" "$ran"
  # Each transaction of the first script adds one amount to three tables; the second has no tellers and branches.
  expect "tellers and branches" "$(total "(select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)")" t
  expect "accounts and history" "$(total "(select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)")" t
  echo "tpcb-like, simple-update and select-only in simple, extended and prepared mode; balances agree"
}

# From the first number on, which no row is there to be locked for.
check_insert() {
  local out script
  script=$(mktemp)
  echo "insert into numbered (note) values ('of a client'), ('of a client');" >"$script"
  out=$(as omar pgbench -n -M prepared -f "$script" -c 8 -j 2 -t 10 2>&1) || { rm -f "$script"; echo "$out" >&2; return 1; }
  rm -f "$script"
  expect "numbers" "$(total "count(*) || ' ' || count(distinct number) || ' ' || max(number) from numbered")" "160 160 N-0160"
  echo "autonumbers of 8 clients: no gap, no double"
}

check_refusals() {
  local out
  out=$(as omar pgbench -i -s 1 2>&1) && { echo "pgbench -i went through" >&2; return 1; }
  contains init "$out" "is not supported"
  out=$(as omar pgbench -i -I g -s 1 2>&1) && { echo "pgbench -i -I g went through" >&2; return 1; }
  contains generate "$out" "TRUNCATE"
  expect accounts "$(total "count(*) from pgbench_accounts")" 100000
  echo "-i and its steps are 0A000: they drop, create and truncate tables"
}

run_checks pgbench "$(pgbench --version | sed 's/.*) //; s/ (.*//')"
