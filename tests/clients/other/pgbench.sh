#!/usr/bin/env bash
# pgbench with a script of its own over the demo, in its three query modes.
. "$(dirname "$0")/matrix.sh"
script=$(mktemp)
trap 'rm -f "$script"' EXIT
cat >"$script" <<'SQL'
\set n random(1, 9)
select count(*) from accounts where rating = :n and created_at > '2025-01-01 00:00:00+00';
begin;
select id, name from accounts where id = 'acc_0000' || :n;
commit;
SQL

bench() { # mode
  local out
  out=$(as ada pgbench -n -M "$1" -c 2 -t 12 -f "$script" 2>&1) || { echo "$out" >&2; return 1; }
  contains "transactions in mode $1" "$out" "number of transactions actually processed: 24/24"
  contains "failures in mode $1" "$out" "number of failed transactions: 0"
}

check_parameters() {
  for mode in simple extended prepared; do bench $mode; done
  echo "simple, extended, prepared: 24 transactions each on 2 connections"
}

check_policy() {
  echo 'select 1 / (case when count(*) = 2157 then 1 else 0 end) from accounts;' >"$script.sam"
  as sam pgbench -n -t 2 -f "$script.sam" 2>&1 | grep -q 'processed: 2/2'
  rm -f "$script.sam"
}

check_own() {
  local out
  out=$(as ada pgbench -i -s 1 2>&1) || true
  contains init "$out" "is not supported"
  echo "pgbench -i is refused: the gate reads"
  return 3
}

run_checks pgbench "$(pgbench --version | sed 's/.*) //; s/ (.*//')"
