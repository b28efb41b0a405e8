#!/usr/bin/env bash
# postgres_fdw: a real PostgreSQL 15 as the client; IMPORT FOREIGN SCHEMA, push-down, cursors, remote estimates.
. "$(dirname "$0")/matrix.sh"
bin=$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -1)")
folder=$(mktemp -d)
chmod 711 "$folder"
chown postgres "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$@"); }
stop() {
  as_postgres "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
as_postgres "$bin/initdb" -D "$folder/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
as_postgres "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -o "-p $port -k $folder -c listen_addresses='' -c fsync=off" start >/dev/null

local_sql() { psql -X -At -q -v ON_ERROR_STOP=1 -h "$folder" -p "$port" -U postgres -d postgres "$@"; }

import() { # user
  local_sql <<SQL
create extension if not exists postgres_fdw;
create server gate_$1 foreign data wrapper postgres_fdw options (host '127.0.0.1', port '$GATE_PORT', dbname 'demo', fetch_size '1000');
create user mapping for postgres server gate_$1 options (user '$1', password 'demo-$1');
create schema $1;
import foreign schema public from server gate_$1 into $1;
SQL
}

check_tables() {
  for pair in ada:22 sam:22 iris:15; do
    import "${pair%:*}"
    expect "tables of ${pair%:*}" "$(local_sql -c "select count(*) from pg_foreign_table f join pg_class c on c.oid = ftrelid join pg_namespace n on n.oid = relnamespace where nspname = '${pair%:*}'")" "${pair#*:}"
  done
  echo "IMPORT FOREIGN SCHEMA"
}
check_describe() {
  expect ada "$(local_sql -c "select count(*) from information_schema.columns where table_schema = 'ada' and table_name = 'employees'")" 10
  expect sam "$(local_sql -c "select count(*) from information_schema.columns where table_schema = 'sam' and table_name = 'employees'")" 8
  expect precision "$(local_sql -c "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'ada.accounts'::regclass and attname = 'annual_revenue'")" "numeric(18,4)"
}
check_types() {
  local table
  for table in $(local_sql -c "select table_name from information_schema.tables where table_schema = 'ada'"); do
    local_sql -c "select * from ada.$table limit 20" >/dev/null
  done
  echo "every column of every table"
}
check_parameters() {
  {
    echo "set plan_cache_mode = force_generic_plan; prepare p(text) as select id from ada.accounts where id = \$1;"
    for n in $(seq 1 12); do printf "execute p('acc_%05d');\n" "$n"; done
  } | local_sql -f - | { n=0; while read -r line; do n=$((n + 1)); expect "execution $n" "$line" "$(printf 'acc_%05d' $n)"; done; }
}
check_errors() { contains error "$(local_sql -c "select 1 / (rating - rating) from ada.accounts where 1 / (rating - rating) > 0" 2>&1 || true)" "division by zero"; }
check_transactions() {
  expect rows "$(local_sql -c "begin; select count(*) from ada.regions; savepoint a; select count(*) from ada.regions; rollback to a; commit" | tr '\n' ' ')" "4 4 "
  contains writes "$(local_sql -c "insert into ada.regions (id) values ('x')" 2>&1 || true)" "not supported"
  echo "remote transaction; writes are refused: the gate reads"
}
check_fetch() {
  expect rows "$(local_sql -c "select count(*) from (select id from ada.events order by id limit 50000) x")" 50000
  echo "fetch_size 1000"
}
check_policy() {
  expect ada "$(local_sql -c 'select count(*) from ada.accounts')" 20000
  expect sam "$(local_sql -c 'select count(*) from sam.accounts')" 2157
}
check_own() {
  expect join "$(local_sql -c 'select count(*) from ada.accounts a join ada.regions r on r.id = a.region_id where a.rating = 3')" \
    "$(as ada psql -X -At -c 'select count(*) from accounts where rating = 3 and region_id is not null')"
  local_sql -c "analyze ada.regions"
  echo "join push-down, ANALYZE; not use_remote_estimate, which reads PostgreSQL's own EXPLAIN text"
}

run_checks postgres_fdw "$("$bin/postgres" --version | sed 's/.*) //; s/ (.*//')"
