#!/usr/bin/env bash
# pgloader: a CSV file and a SQLite database into the gate's tables, with the rows that it rejects.
. "$(dirname "$0")/../other/matrix.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
GATE="postgresql://omar:demo-omar@127.0.0.1:$GATE_PORT/demo"

total() { as omar psql -X -At -c "select $1"; }

# The command file on standard input; what it printed is in $folder/said.
load() {
  cat >"$folder/load"
  pgloader --root-dir "$folder/out" "$folder/load" >"$folder/said" 2>&1 || true
}

# Loads a CSV file of tickets, with a heading.
load_csv() { # file
  load <<END
LOAD CSV FROM '$1' WITH ENCODING UTF8
  HAVING FIELDS (code, title, amount [null if blanks], done, customer_id [null if blanks], region)
  INTO $GATE?tablename=public.ticket
  TARGET COLUMNS (code, title, amount, done, customer_id, region)
  WITH skip header = 1, fields terminated by ';', fields optionally enclosed by '"'
  SET client_encoding to 'utf8', work_mem to '16MB';
END
}

check_copy() {
  {
    echo 'code;title;amount;done;customer_id;region'
    echo 'o1;"a; b";1.50;true;1;eu'
    echo 'o2;Größe;;false;;eu'
    echo 'o3;no number;abc;true;1;eu'
    for n in $(seq 10 2009); do echo "o$n;many;$n.25;true;2;eu"; done
    echo 'o1;twice;1;true;1;eu'
  } >"$folder/rows.csv"
  load_csv "$folder/rows.csv"
  expect "rows with many" "$(total "count(*) || ' ' || sum(amount) from ticket where title = 'many'")" "2000 2019500.00"
  expect "the first two" "$(total "string_agg(code || ' ' || title || ' ' || coalesce(amount::text, '-') || ' ' || done, ', ' order by code) from ticket where code in ('o1', 'o2')")" \
    "o1 a; b 1.50 true, o2 Größe - false"
  contains "the bad number" "$(cat "$folder"/out/ticket/ticket.log)" "22P02"
  contains "the double" "$(cat "$folder"/out/ticket/ticket.log)" "23505"
  expect "rejected rows" "$(grep -c . "$folder"/out/ticket/ticket.dat)" 2
  echo "2,002 rows of a CSV file; two bad ones are set aside by the line that the error names"
}

check_refusals() {
  printf '%s\n' 'code;title;amount;done;customer_id;region' 'o5;of another region;1;true;1;us' >"$folder/other.csv"
  load_csv "$folder/other.csv"
  contains "a row outside CHECK" "$(cat "$folder/said")" "42501"
  printf '%s\n' 'code;title;amount;done;customer_id;region' 'o6;a debt;-1;true;1;eu' >"$folder/debt.csv"
  load_csv "$folder/debt.csv"
  contains "a rule's message" "$(cat "$folder"/out/ticket/ticket.log)" "An amount is no debt."
  expect "rows of them" "$(total "count(*) from ticket where code in ('o5', 'o6')")" 0
  python3 -c 'import sqlite3, sys; file = sqlite3.connect(sys.argv[1]); file.executescript("create table novelty (id integer primary key)"); file.close()' "$folder/new.sqlite"
  load <<END
LOAD DATABASE FROM sqlite://$folder/new.sqlite INTO $GATE WITH create tables;
END
  contains "a new table" "$(cat "$folder/said")" "is not supported"
  echo "42501 for a row outside CHECK, the rule's message, 0A000 for a new table"
}

check_own() {
  python3 - "$folder/source.sqlite" <<'END'
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
file.executescript("""CREATE TABLE ticket (code text, title text, amount real, done boolean, customer_id integer, region text);
INSERT INTO ticket VALUES ('o7', 'of a file', 2.5, 1, 2, 'eu'), ('o8', 'tab	and \\', NULL, 0, NULL, 'eu');""")
file.close()
END
  load <<END
LOAD DATABASE FROM sqlite://$folder/source.sqlite INTO $GATE
  WITH data only, create no tables, create no indexes, no foreign keys, reset no sequences, include no drop
  INCLUDING ONLY TABLE NAMES LIKE 'ticket';
END
  expect "rows of the file" "$(total "string_agg(code || '/' || title || '/' || coalesce(amount::text, '-') || '/' || coalesce(customer_id::text, '-'), ', ' order by code) from ticket where code in ('o7', 'o8')")" \
    $'o7/of a file/2.50/2, o8/tab\tand \\/-/-'
  echo "a table of a SQLite database, data only"
}

run_checks pgloader "$(pgloader --version | sed -n 's/pgloader version "\(.*\)"/\1/p')"
