#!/usr/bin/env bash
# pg_dump: a dump of what one may see, or a refusal that says why.
. "$(dirname "$0")/matrix.sh"

check_own() {
  local out rows
  contains hint "$(as ada pg_dump -s 2>&1 || true)" "pg_dump has --enable-row-security"
  out=$(as ada pg_dump --enable-row-security -s)
  for part in "CREATE TABLE public.accounts" "FOREIGN KEY (region_id) REFERENCES public.regions(id)" "CREATE VIEW public.open_cases"; do
    contains schema "$out" "$part"
  done
  case $out in *"CREATE FUNCTION"*) echo "functions of PostgreSQL's own are in the dump" >&2; return 1 ;; esac
  out=$(as sam pg_dump --enable-row-security -t accounts)
  case $out in *credit_limit*) echo "a hidden column is in the dump" >&2; return 1 ;; esac
  rows=$(grep -c '^acc_' <<<"$out")
  expect rows "$rows" "$(as sam psql -X -At -c 'select count(*) from accounts')"
  echo "--enable-row-security: all of the schema, $rows rows of one user"
}

run_checks pg_dump "$(pg_dump --version | sed 's/.*) //; s/ (.*//')"
