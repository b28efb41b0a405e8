#!/usr/bin/env bash
# psql: every informational backslash command, \copy, \gdesc, FETCH_COUNT, completion's queries, cancel.
. "$(dirname "$0")/matrix.sh"
DATA="$(dirname "$0")/.."

sql() { # user, psql arguments…
  local user=$1
  shift
  as "$user" psql -X -At -v ON_ERROR_STOP=1 "$@"
}

check_connect() {
  expect current_user "$(sql ada -c 'select current_user')" ada
  contains conninfo "$(sql ada -c '\conninfo')" 'as user "ada"'
}

check_tables() {
  for pair in ada:22 sam:22 iris:15; do
    expect "tables of ${pair%:*}" "$(sql "${pair%:*}" -c '\d' | wc -l)" "${pair#*:}"
  done
  if sql iris -c '\d employees'; then echo "iris sees employees" >&2; return 1; fi
}

check_describe() {
  contains salary "$(sql ada -c '\d employees')" salary
  case $(sql sam -c '\d+ employees') in *salary*) echo "sam sees salary" >&2; return 1 ;; esac
  contains key "$(as ada psql -X -c '\d accounts')" '"accounts_pkey" PRIMARY KEY'
  contains comment "$(sql ada -c '\d+ contacts')" "Wants our newsletter"
  contains gdesc "$(sql ada <<<'select id, annual_revenue from accounts \gdesc')" "annual_revenue|numeric(18,4)"
  for command in d dt+ dv dv+ dm ds di di+ dn dn+ df 'df pg_get*' du du+ dg l l+ dx dx+ dp z dT dT+ 'dT+ int4' dc dC dD dO do \
    'do+ =' dy des dew deu det db db+ da dA dA+ dAc dF dFd dFp dFt dL dRp dRs dP ddp drds dconfig dX; do
    sql ada -c "\\$command" >/dev/null || { echo "\\$command" >&2; return 1; }
  done
  echo "45 backslash commands"
}

check_types() {
  local wrong="" name expression text got
  while IFS=$'\t' read -r name expression text; do
    case $name in '#'* | '') continue ;; esac
    got=$(sql ada -c "select $expression" 2>&1) || true
    [ "$got" = "$text" ] || wrong="$wrong; $name: '$got' instead of '$text'"
  done <"$DATA/types.tsv"
  for table in $(sql ada -c "select table_name from information_schema.tables where table_schema = 'public'"); do
    sql ada -c "select * from $table limit 20" >/dev/null
  done
  [ -z "$wrong" ] || { echo "${wrong#; }" >&2; return 1; }
  echo "$(grep -vc '^#' "$DATA/types.tsv") types as text, every column of every table"
}

check_parameters() {
  { echo "prepare p(int, text) as select \$1 + 1, upper(\$2);"; for n in $(seq 1 12); do echo "execute p($n, 'x$n');"; done; } |
    sql ada -f - | tail -12 | { n=0; while read -r line; do n=$((n + 1)); expect "execution $n" "$line" "$((n + 1))|X$n"; done; }
  expect variables "$(sql ada -v id="o'x" -f - <<<"select :'id';")" "o'x"
  echo "PREPARE and EXECUTE, 12 executions"
}

check_errors() {
  local state
  for pair in 'select * from no_such_table=42P01' 'select no_such from regions=42703' 'selec 1=42601' 'select 1/0=22012' "select 'x'::int=22P02"; do
    state=$(as ada psql -X -v VERBOSITY=sqlstate -c "${pair%=*}" 2>&1) || true
    expect "${pair%=*}" "$state" "ERROR:  ${pair##*=}"
  done
  contains position "$(as ada psql -X -c 'selec 1' 2>&1 || true)" "LINE 1: selec 1"
  contains password "$(PGUSER=ada PGPASSWORD=wrong psql -X -c 'select 1' 2>&1 || true)" 'password authentication failed for user "ada"'
}

check_cancel() {
  local out pid began=$SECONDS
  out=$(mktemp)
  PGUSER=ada PGPASSWORD=demo-ada psql -X -c "$SLOW" >"$out" 2>&1 &
  pid=$!
  sleep 1.5
  kill -INT "$pid"
  wait "$pid" || true
  contains cancel "$(cat "$out")" "canceling statement due to user request"
  rm -f "$out"
  [ $((SECONDS - began)) -lt 12 ]
}

check_transactions() {
  local out
  out=$(as ada psql -X -At -v ON_ERROR_ROLLBACK=on -f - 2>&1 <<'SQL'
begin isolation level repeatable read read only;
select count(*) from regions;
select 1/0;
select 'still here';
commit;
SQL
  )
  contains savepoint "$out" "still here"
  contains commit "$out" COMMIT
  contains writes "$(as ada psql -X -c "insert into regions (id) values ('x')" 2>&1 || true)" "INSERT is not supported"
  echo "ON_ERROR_ROLLBACK; writes are refused with 0A000: the gate reads"
}

check_fetch() {
  expect rows "$(sql ada -v FETCH_COUNT=1000 -c "$LARGE" | wc -l)" 50000
  echo "FETCH_COUNT=1000"
}

check_policy() {
  expect ada "$(sql ada -c 'select count(*) from accounts')" 20000
  expect sam "$(sql sam -c 'select count(*) from accounts')" 2157
  for column in employees.salary employees.bonus products.unit_cost accounts.credit_limit opportunities.margin_percent; do
    sql ada -c "select ${column#*.} from ${column%.*} limit 1" >/dev/null
    contains "$column" "$(as sam psql -X -c "select ${column#*.} from ${column%.*}" 2>&1 || true)" "column \"${column#*.}\" does not exist"
  done
}

check_own() {
  local file
  file=$(mktemp)
  sql ada -qc "\\copy (select id, name from regions order by id) to '$file' csv header"
  expect copy "$(head -2 "$file" | tail -1)" "amer,North America"
  sql ada -qc "\\copy (select 1) to '$file' binary"
  expect 'binary copy' "$(head -c 6 "$file")" PGCOPY
  rm -f "$file"
  expect gexec "$(sql ada -f - <<<"select 'select 40 + 2' \\gexec")" 42
  expect crosstab "$(sql ada -f - <<<"select id, 'n', length(id) from regions order by 1 \\crosstabview" | wc -l)" 4
  # What completion asks after "select * from acc<tab>".
  contains completion "$(sql ada -c "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p')
    AND substring(pg_catalog.quote_ident(c.relname),1,3)='acc' AND pg_catalog.pg_table_is_visible(c.oid)
    AND c.relnamespace OPERATOR(pg_catalog.<>) (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) 'pg_catalog')
    LIMIT 1000")" accounts
  echo "\\copy text and binary, \\gexec, \\crosstabview, completion"
}

run_checks psql "$(psql --version | sed 's/.*) //; s/ (.*//')"
