#!/usr/bin/env bash
# psql: changes as one types them, \copy in its three formats, \gset, variables, ON_ERROR_ROLLBACK.
. "$(dirname "$0")/../other/matrix.sh"
COLUMNS="ticket (code, title, amount, done, customer_id, region)"

sql() { as omar psql -X -At -v ON_ERROR_STOP=1 "$@"; }

state() { # statement: the SQLSTATE of its error
  as omar psql -X -v VERBOSITY=sqlstate -c "$1" 2>&1 | sed -n 's/^ERROR:  //p'
}

check_insert() {
  expect tag "$(sql -c "insert into ticket (code, title, amount, ratio, seen, due, done, customer_id, region)
    values ('i1', 'Grün', 12.50, 0.1, '2026-07-08 11:10:11.123456+02', '2026-12-31', true, 1, 'eu')")" "INSERT 0 1"
  expect tag "$(sql -v a=Größe -f - <<<"insert into ticket (code, title, region) values ('i2', :'a', 'eu'), ('i3', 'gone soon', 'eu');")" "INSERT 0 2"
  expect read "$(sql -c "select title, amount, ratio, seen, due, done from ticket where code = 'i1'")" "Grün|12.50|0.1|2026-07-08 09:10:11.123456+00|2026-12-31|t"
  expect query "$(sql -c "insert into ticket (code, title, region) select 'o' || i, 'many', 'eu' from generate_series(1, 1000) i")" "INSERT 0 1000"
  expect others "$(as mara psql -X -At -c 'select count(*) from ticket')" 1
  echo "VALUES, a query, variables"
}

check_update() {
  expect tag "$(sql -c "update ticket set amount = 5.25, done = true where code = 'i2'")" "UPDATE 1"
  expect many "$(sql -c "update ticket set amount = 1, due = '2026-05-06' where title = 'many'")" "UPDATE 1000"
  expect hidden "$(sql -c "update ticket set title = 'mine' where code = 'taken'")" "UPDATE 0"
}

check_delete() {
  expect tag "$(sql -c "delete from ticket where code = 'i3'")" "DELETE 1"
  expect many "$(sql -c "delete from ticket where title = 'many'")" "DELETE 1000"
  expect hidden "$(sql -c "delete from ticket where region <> 'eu'")" "DELETE 0"
}

check_upsert() {
  local put="on conflict (code) do update set title = excluded.title"
  expect taken "$(sql -c "insert into ticket (code, title, region) values ('i1', 'upserted', 'eu') $put")" "INSERT 0 1"
  expect free "$(sql -c "insert into ticket (code, title, region) values ('u1', 'new', 'eu') $put")" "INSERT 0 1"
  expect nothing "$(sql -c "insert into ticket (code, title, region) values ('i1', 'x', 'eu') on conflict do nothing")" "INSERT 0 0"
  expect hidden "$(state "insert into ticket (code, title, region) values ('taken', 'mine', 'eu') $put")" 23505
}

check_returning() {
  expect gset "$(sql -q -f - <<'SQL'
insert into ticket (code, title, region) values ('o1', 'r', 'eu') returning id, done \gset
update ticket set amount = 2 where id = :id returning amount * 2, upper(title), :'done';
delete from ticket where id = :id returning code;
SQL
)" "$(printf '4.00|R|f\no1')"
  echo "\\gset"
}

check_copy() {
  local folder
  folder=$(mktemp -d)
  printf 'c1\ttab\\tand \\\\\t1.25\tt\t\\N\teu\n' >"$folder/text"
  printf 'code,title,amount,done,customer_id,region\nc2,"a ""quote"", and",,f,2,eu\n' >"$folder/csv"
  expect text "$(sql -c "\\copy $COLUMNS from '$folder/text'")" "COPY 1"
  expect csv "$(sql -c "\\copy $COLUMNS from '$folder/csv' csv header")" "COPY 1"
  sql -qc "\\copy (select 'o' || i, 'binary', i::numeric(10,2), 'eu' from generate_series(1, 3000) i) to '$folder/binary' binary"
  expect binary "$(sql -c "\\copy ticket (code, title, amount, region) from '$folder/binary' binary")" "COPY 3000"
  expect sum "$(sql -c "delete from ticket where title = 'binary' returning amount" | awk '{ sum += $1 } END { print sum }')" 4501500
  printf 'o1\tx\t1\tt\t\\N\teu\no2\tx\tmany\tt\t\\N\teu\n' >"$folder/text"
  contains line "$(sql -c "\\copy $COLUMNS from '$folder/text'" 2>&1 || true)" "line 2"
  expect nothing "$(sql -c "select count(*) from ticket where code in ('o1', 'o2')")" 0
  rm -rf "$folder"
  echo "\\copy text, CSV, 3,000 rows in binary"
}

check_savepoints() {
  local out
  out=$(as omar psql -X -At -q -v ON_ERROR_ROLLBACK=on -f - 2>&1 <<'SQL'
begin;
insert into ticket (code, title, region) values ('s1', 'kept', 'eu');
insert into ticket (code, title, region) values ('i1', 'twice', 'eu');
insert into ticket (code, title, region) values ('s2', 'after', 'eu');
commit;
begin;
insert into ticket (code, title, region) values ('s3', 'rolled back', 'eu');
savepoint a;
delete from ticket;
rollback to a;
select count(*) > 4 from ticket;
rollback;
SQL
  )
  contains duplicate "$out" "duplicate key"
  contains inside "$out" t
  echo "ON_ERROR_ROLLBACK"
}

check_refusals() {
  local sql wanted
  while IFS='#' read -r wanted sql; do
    expect "$sql" "$(state "$sql")" "$wanted"
  done <<'CASES'
42501#insert into ticket (title, region) values ('x', 'us')
42501#update ticket set region = 'us' where code = 'one'
23514#update ticket set amount = -1 where code = 'one'
23505#insert into ticket (code, title, region) values ('one', 'x', 'eu')
23502#insert into ticket (region) values ('eu')
23503#update ticket set customer_id = 99 where code = 'one'
22001#insert into ticket (title, region) values (repeat('x', 41), 'eu')
22007#update ticket set due = 'soon' where code = 'one'
0A000#create table mine (id int)
0A000#alter table ticket add column x int
0A000#drop table ticket
0A000#vacuum ticket
CASES
  contains message "$(as omar psql -X -c "update ticket set amount = -1 where code = 'one'" 2>&1 || true)" "ERROR:  An amount is no debt."
  expect after "$(sql -c "select amount from ticket where code = 'one'")" 10.00
  echo "12 statements"
}

check_own() {
  contains explain "$(sql -c "explain update ticket set amount = 1 where code = 'one'")" "1 validation"
  expect merge "$(sql -c "merge into ticket t using (values ('o1', 'a')) s(code, title) on t.code = s.code
    when matched then update set title = s.title when not matched then insert (code, title, region) values (s.code, s.title, 'eu')")" "MERGE 1"
  expect truncate "$(state "truncate ticket")" 42501
  expect gone "$(sql -c "delete from ticket t using customer c where t.code = 'o1' and c.id = 1")" "DELETE 1"
  contains privileges "$(sql -c '\dp ticket')" "omar=arwd"
  echo "EXPLAIN, MERGE, DELETE USING, \\dp; TRUNCATE wants the right to all records"
}

run_checks psql "$(psql --version | sed 's/.*) //; s/ (.*//')"
