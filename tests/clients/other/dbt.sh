#!/usr/bin/env bash
# dbt: connects, reads models and sources, tests them, writes its catalog of tables; models that would be written are refused.
. "$(dirname "$0")/matrix.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$(dirname "$0")/../dbt/." "$work"
export DBT_SEND_ANONYMOUS_USAGE_STATS=false DBT_PROFILES_DIR="$work" DBT_PROJECT_DIR="$work" DBT_TARGET_PATH="$work/target" DBT_LOG_PATH="$work/logs"

dbt() { # user, arguments
  local user=$1
  shift
  DBT_USER=$user "$DBT/bin/dbt" --no-version-check --no-use-colors "$@" 2>&1
}

check_connect() { contains debug "$(dbt ada debug)" 'All checks passed'; }
check_tables() {
  dbt ada docs generate --select 'source:*' >"$work/out" || { tail -5 "$work/out" >&2; return 1; }
  contains catalog "$(cat "$work/target/catalog.json")" '"source.reading.company.accounts"'
}
check_describe() {
  contains column "$(cat "$work/target/catalog.json")" '"credit_limit"'
  dbt sam docs generate --select 'source:*' >"$work/out" || { tail -5 "$work/out" >&2; return 1; }
  case $(cat "$work/target/catalog.json") in *credit_limit*) echo "sam's catalog has credit_limit" >&2; return 1 ;; esac
}
check_errors() {
  contains error "$(dbt ada show --inline 'select no_such from regions' || true)" 'column "no_such" does not exist'
}
check_fetch() {
  local rows
  rows=$(dbt ada show --output json --limit 5000 --inline 'select id from events order by id' | grep -c '"id"')
  expect rows "$rows" 5000
}
check_policy() {
  local user count
  for user in ada:20000 sam:2157; do
    count=$(dbt "${user%:*}" show --output json --inline "select count(*) as n from {{ source('company', 'accounts') }}" | sed -n 's/.*"n": \([0-9.]*\).*/\1/p')
    expect "accounts of ${user%:*}" "${count%.0}" "${user#*:}"
  done
}
check_own() {
  local out
  out=$(dbt ada test) || { tail -20 <<<"$out" >&2; return 1; }
  contains tests "$out" 'ERROR=0'
  contains model "$(dbt ada show --select accounts_by_region)" accounts
  out=$(dbt ada run --select written || true)
  case $out in *'not supported'* | *'permission denied'* | *'read-only'* | *'cannot execute'*) ;; *) tail -15 <<<"$out" >&2; return 1 ;; esac
  echo 'tests of sources and models, ephemeral models, docs; a model that would be written is refused'
}

run_checks dbt "$("$DBT/bin/dbt" --version 2>&1 | sed -n 's/.*installed: *//p' | head -1)"
