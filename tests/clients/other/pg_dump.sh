#!/usr/bin/env bash
# pg_dump: a dump of what one may see, or a refusal that says why.
. "$(dirname "$0")/matrix.sh"

check_own() {
  local out status=0
  out=$(as ada pg_dump -s 2>&1) || status=$?
  if [ $status -eq 0 ]; then
    contains dump "$out" "CREATE TABLE public.accounts"
    return 0
  fi
  grep -E 'error' <<<"$out" | head -2
  return 3
}

run_checks pg_dump "$(pg_dump --version | sed 's/.*) //; s/ (.*//')"
