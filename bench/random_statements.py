#!/usr/bin/env python3
"""Random statements and the 22 of TPC-H, asked of a gate over workers (`off`, `on`, `auto`) and of DuckDB over the same Parquet:
`random_statements.py GATE FOLDER [--statements N] [--seed S] [--only NUMBER...] [--show]`, GATE as `host:port` of PostgreSQL's door.

Two readers: bench sees all, narrow has the row policy of `run`, which stands as views in DuckDB (POLICY below). Compared are all values,
in order where the statement orders its rows, else as multisets. The gate with itself: the same types, the same values, doubles to a billionth,
since their sums depend on the order of addition. The gate with DuckDB, besides:
- whole numbers and numerics by value: `extract` and sums have other types there, and numerics other numbers of zeros behind the point;
- a double of DuckDB beside a numeric (`avg`, quotients) to a billionth, or to the numeric's last place, behind which an average is cut off;
- a date beside a time stamp as its midnight, and time stamps in UTC: `date_trunc` of a date has a zone here and is a date there.
NULL sorts as in PostgreSQL in both. A statement that all refuse is no difference; one that some refuse is."""

import argparse
import collections
import datetime
import decimal
import os
import re
import sys
import threading
import time
from pathlib import Path

import duckdb
import psycopg

from random_forms import Forms
from random_values import TABLES

READERS = ("bench", "narrow")
MODES = ("off", "on", "auto")
POLICY = {"lineitem": "l_quantity < 46.0", "orders": "o_orderpriority <> '5-LOW'"}
QUERIES = Path(__file__).resolve().parent.parent / "tests/tpch/queries"
SECONDS = 60
TOLERANCE = 1e-9
# Below this a double is as good as nothing: a deviation of equal values.
NOTHING = 1e-12
CHOICE = re.compile(r"Workers: ([^:]+): (read in the gate|read by workers|filtered by workers|aggregated by workers|first rows chosen by workers)"
                    r": (.*)")
SIZES = re.compile(r"querygate.workers is on, |a scan of about \d+ bytes(; )?|a scan(; )?")


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Duck:
    """The tables in DuckDB, for each reader as he sees them."""

    def __init__(self, folder):
        self.connections = {}
        root = duckdb.connect()
        root.execute("SET threads = 1")
        root.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        root.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            root.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{folder}/{table}.parquet')")
        for reader in READERS:
            root.execute(f"CREATE SCHEMA {reader}")
            for table in TABLES:
                where = f" WHERE {POLICY[table]}" if reader == "narrow" and table in POLICY else ""
                root.execute(f"CREATE VIEW {reader}.{table} AS SELECT * FROM main.{table}{where}")
            self.connections[reader] = root.cursor()
            self.connections[reader].execute(f"USE {reader}")
        self.root = root

    def samples(self):
        """Rows for literals, and how many there are."""
        samples, rows = {}, {}
        for table, (keys, _) in TABLES.items():
            rows[table] = self.root.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            step = max(rows[table] // 300, 1)
            found = self.root.execute(f"SELECT * FROM (SELECT *, row_number() OVER (ORDER BY {keys.replace(' ', ', ')}) AS place FROM {table}) "
                                      f"WHERE place % {step} = 0 ORDER BY place")
            names = [column[0] for column in found.description]
            samples[table] = [dict(zip(names, row)) for row in found.fetchall()]
        return samples, rows

    def ask(self, reader, sql):
        connection = self.connections[reader]
        timer = threading.Timer(SECONDS, connection.interrupt)
        timer.start()
        try:
            found = connection.execute(sql)
            return [str(column[1]) for column in found.description], found.fetchall()
        except duckdb.Error as error:
            raise Refused(type(error).__name__, str(error).splitlines()[0]) from error
        finally:
            timer.cancel()


class Gate:
    """One connection for each reader and mode."""

    def __init__(self, address):
        self.host, self.port = address.rsplit(":", 1)
        self.connections, self.lost = {}, 0

    def connection(self, reader, mode):
        found = self.connections.get((reader, mode))
        if found is None or found.closed:
            found = psycopg.connect(host=self.host, port=self.port, user=reader, password=os.environ.get("PGPASSWORD", "bench"), dbname="demo",
                                    autocommit=True, prepare_threshold=None)
            found.execute(f"SET querygate.workers = {mode}")
            found.execute(f"SET statement_timeout = '{SECONDS}s'")
            found.execute("SET TimeZone = 'UTC'")
            self.connections[reader, mode] = found
        return found

    def ask(self, reader, mode, sql):
        try:
            found = self.connection(reader, mode).execute(sql)
            return [column.type_code for column in found.description], found.fetchall()
        except psycopg.Error as error:
            self.lost += error.sqlstate is None
            raise Refused(error.sqlstate or "lost", str(error).splitlines()[0] if str(error) else "") from error

    def choices(self, reader, mode, sql):
        """What EXPLAIN says of each leaf: (table, place, why)."""
        try:
            _, rows = self.ask(reader, mode, f"EXPLAIN {sql}")
        except Refused:
            return []
        return [found.groups() for row in rows for found in [CHOICE.match(row[0])] if found]


def plain(value):
    """A value as it is compared."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        return decimal.Decimal(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    return value


def same(one, other):
    if isinstance(one, float) or isinstance(other, float):
        if one is None or other is None or isinstance(one, str) or isinstance(other, str):
            return False
        room = NOTHING + TOLERANCE * max(abs(float(one)), abs(float(other)))
        for value in (one, other):
            if isinstance(value, decimal.Decimal):
                room += 1.0001 * 10.0 ** value.as_tuple().exponent
        return one == other or abs(float(one) - float(other)) <= room or (one != one and other != other)
    return type(one) is type(other) and one == other


def sort_key(row, exact):
    def key(value):
        return (0,) if value is None else (1, float(f"{float(value):.6g}")) if isinstance(value, float) else (1, value)

    first = [key(value) for value, is_exact in zip(row, exact) if is_exact]
    return first + [key(float(value) if value is not None else None) for value, is_exact in zip(row, exact) if not is_exact]


def difference(one, other, ordered):
    """None, or what differs between two lists of rows."""
    one, other = ([tuple(map(plain, row)) for row in rows] for rows in (one, other))
    if len(one) != len(other):
        return f"{len(one)} rows and {len(other)}: only in the first {missing(one, other)}, only in the second {missing(other, one)}"
    if not ordered and one:
        exact = [not any(isinstance(row[at], float) for row in one + other) for at in range(len(one[0]))]
        one, other = (sorted(rows, key=lambda row: sort_key(row, exact)) for rows in (one, other))
    for number, (left, right) in enumerate(zip(one, other)):
        if len(left) != len(right) or not all(map(same, left, right)):
            return f"row {number} of {len(one)}: {told(left)} and {told(right)}"
    return None


def missing(one, other):
    count = collections.Counter(map(repr, other))
    found = []
    for row in one:
        count[repr(row)] -= 1
        if count[repr(row)] < 0:
            found.append(told(row))
    return found[:3]


def told(row):
    return tuple(str(value) if isinstance(value, (decimal.Decimal, datetime.datetime)) else value for value in row)


class Run:
    def __init__(self, arguments):
        self.gate, self.duck, self.show = Gate(arguments.gate), Duck(arguments.folder), arguments.show
        self.samples, self.rows = self.duck.samples()
        self.equal, self.refused, self.differing = collections.Counter(), collections.defaultdict(list), []
        self.leaves, self.stages, self.reasons = collections.Counter(), collections.Counter(), collections.Counter()
        self.kinds, self.empty = collections.Counter(), 0

    def written(self, name):
        """A statement that finds a row, of a few tries."""
        for attempt in range(5):
            found = Forms(f"{name}/{attempt}", self.samples, self.rows).statement()
            rows = answer(lambda: self.duck.ask("bench", found[1]))
            if isinstance(rows, Refused) or any(value is not None and value != 0 for row in rows[1] for value in row):
                break
        return found

    def statement(self, name, kind, sql, ordered):
        self.kinds[kind] += 1
        if self.show:
            print(f"-- {name} {kind}\n{sql};", flush=True)
        for reader in READERS:
            began = time.monotonic()
            answers = {mode: answer(lambda: self.gate.ask(reader, mode, sql)) for mode in MODES}
            answers["DuckDB"] = answer(lambda: self.duck.ask(reader, sql))
            took = time.monotonic() - began
            if took > 10:
                print(f"SLOW {name} as {reader}: {took:.0f} s\n  {sql}", file=sys.stderr, flush=True)
            self.empty += not isinstance(answers["off"], Refused) and not answers["off"][1]
            for other in ("on", "auto", "DuckDB"):
                self.compare(name, reader, sql, ordered, answers["off"], other, answers[other])
            for mode in MODES[1:]:
                self.places(reader, mode, self.gate.choices(reader, mode, sql))

    def compare(self, name, reader, sql, ordered, local, other, answered):
        pair = (reader, other)
        if isinstance(local, Refused) and isinstance(answered, Refused):
            if other == "DuckDB" or str(local) == str(answered):
                self.equal[pair + ("refused",)] += 1
                if other == "DuckDB":
                    self.refused[f"gate {local.code}, DuckDB {answered.code}"].append((name, reader, local, sql))
                return
            found = f"gate: {local}\n  {other}: {answered}"
        elif isinstance(local, Refused) or isinstance(answered, Refused):
            found = f"gate: {local if isinstance(local, Refused) else f'{len(local[1])} rows'}\n  {other}: " \
                f"{answered if isinstance(answered, Refused) else f'{len(answered[1])} rows'}"
            self.refused[f"gate {getattr(local, 'code', 'answers')}, {other} {getattr(answered, 'code', 'answers')}"].append(
                (name, reader, local if isinstance(local, Refused) else answered, sql))
        else:
            found = difference(local[1], answered[1], ordered)
            if found is None and other != "DuckDB" and local[0] != answered[0]:
                found = f"types {local[0]} and {answered[0]}"
        if found is None:
            self.equal[pair + ("equal",)] += 1
            return
        self.equal[pair + ("differ",)] += 1
        self.differing.append((name, reader, other, found, sql))
        print(f"DIFFERS {name} as {reader}, {other}: {found}\n  {sql}", file=sys.stderr, flush=True)

    def places(self, reader, mode, choices):
        for place in {place for _, place, _ in choices} or {"no leaf is told of"}:
            self.stages[reader, mode, place] += 1
        if any(place != "read in the gate" for _, place, _ in choices):
            self.stages[reader, mode, "anything over workers"] += 1
        for _, place, why in choices:
            self.leaves[reader, mode, place] += 1
            if mode == "on":
                self.reasons[place, SIZES.sub("", why)] += 1

    def report(self, statements, seed, seconds):
        print(f"\n### {statements} random statements (seed {seed}) and TPC-H, DuckDB {duckdb.__version__}, {seconds:.0f} s\n")
        print(f"Kinds: {', '.join(f'{kind} {count}' for kind, count in self.kinds.most_common())}. Answers without a row: {self.empty}.\n")
        print("| reader | the gate alone against | equal | refused by both | differ |\n|---|---|---|---|---|")
        for reader in READERS:
            for other in ("on", "auto", "DuckDB"):
                cells = " | ".join(str(self.equal[reader, other, what]) for what in ("equal", "refused", "differ"))
                print(f"| {reader} | {other if other == 'DuckDB' else f'workers = {other}'} | {cells} |")
        places = ["aggregated by workers", "first rows chosen by workers", "filtered by workers", "read by workers", "read in the gate"]
        print("\nStatements with such a leaf, and leaves, by EXPLAIN:\n\n| reader | workers | anything over workers | " + " | ".join(places) + " |")
        print("|" + "---|" * (3 + len(places)))
        for reader in READERS:
            for mode in MODES[1:]:
                cells = " | ".join(f"{self.stages[reader, mode, place]} ({self.leaves[reader, mode, place]})" for place in places)
                print(f"| {reader} | {mode} | {self.stages[reader, mode, 'anything over workers']} | {cells} |")
        print("\n| with `on` | leaves |\n|---|---|")
        for (place, why), count in self.reasons.most_common(25):
            print(f"| {place}{f': {why}' if why else ''} | {count} |")
        print("\nRefused, by SQLSTATE:\n")
        for codes, found in sorted(self.refused.items()):
            print(f"- {codes}: {len(found)}: {', '.join(sorted({name for name, *_ in found}))}")
            for name, reader, error, sql in found[:2]:
                print(f"  - {name} as {reader}: {error}\n    {sql}")
        print(f"\nDiffering: {len(self.differing)}; connections lost: {self.gate.lost}\n")
        for name, reader, other, found, sql in self.differing:
            print(f"- {name} as {reader}, {other}: {found}\n  {sql}")
        return 1 if self.differing or self.gate.lost else 0


def answer(ask):
    try:
        return ask()
    except Refused as refused:
        return refused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gate")
    parser.add_argument("folder")
    parser.add_argument("--statements", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    run, began = Run(arguments), time.monotonic()
    for path in sorted(QUERIES.glob("q*.sql")):
        if not arguments.only or path.stem in arguments.only:
            run.statement(path.stem, "TPC-H", path.read_text().strip().rstrip(";"), True)
    for number in range(arguments.statements):
        if not arguments.only or str(number) in arguments.only:
            run.statement(f"{arguments.seed}/{number}", *run.written(f"{arguments.seed}/{number}"))
        if number % 100 == 99:
            print(f"{number + 1} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    sys.exit(run.report(arguments.statements, arguments.seed, time.monotonic() - began))


if __name__ == "__main__":
    main()
