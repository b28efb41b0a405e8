#!/usr/bin/env python3
"""The 22 statements of TPC-H in DuckDB, some tables read by its scanners and the rest from Parquet, beside the gate's times of the
same run: `peer_duckdb.py FOLDER TABLE RUNS SERVER...`. TABLE is what the example `federated` printed; SERVER is
`postgres|mysql:PORT:none` or `postgres:5432:orders lineitem`. ANSWERS: the folder of the gate's rows, which are compared with DuckDB's.

`peer_duckdb.py answers FOLDER ANSWERS [CONDITION]` compares rows alone, all tables in Parquet; CONDITION: of the rows of lineitem that are
read. Fails where one statement's rows differ."""

import os
import re
import sys
import time
from pathlib import Path

import duckdb

from answers import difference, rows_of

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
QUERIES = Path(__file__).resolve().parent.parent / "tests/tpch/queries"


# How each scanner reaches a server, and where its tables are.
SCANNERS = {
    "postgres": ("postgres_scanner", "host=127.0.0.1 port={} user=bench password=bench dbname=postgres", "public"),
    "mysql": ("mysql_scanner", "host=127.0.0.1 port={} user=bench password=bench database=tpch", "tpch"),
}


def attached(connection, kind, port):
    """LOAD from the wheel: there is nowhere to install an extension from."""
    extension, address, schema = SCANNERS[kind]
    try:
        from duckdb_extensions import import_extension

        import_extension(extension)
    finally:
        connection.execute(f"LOAD {extension}")
    connection.execute(f"ATTACH '{address.format(port)}' AS {kind}_server (TYPE {kind}, READ_ONLY)")
    return f"{kind}_server.{schema}"


def statements():
    for path in sorted(QUERIES.glob("q*.sql")):
        number = re.sub(r"\D", "", path.stem)
        yield number, path.read_text().strip().rstrip(";")


def compare():
    """The rows of each statement alone."""
    folder, answers, condition = sys.argv[2], sys.argv[3], (sys.argv[4:] or ["true"])[0]
    connection = duckdb.connect()
    for name in TABLES:
        hidden = condition if name == "lineitem" else "true"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet') WHERE {hidden}")
    count, rows, differ = 0, 0, []
    for number, text in statements():
        expected = connection.execute(text).fetchall()
        found = difference(rows_of(connection, f"{answers}/{number}.parquet"), expected)
        count, rows = count + 1, rows + len(expected)
        differ += [f"{number} differs: {found}"] if found else []
    print(f"Rows of lineitem where {condition}: {count - len(differ)} of {count} statements give DuckDB's answers, {rows} rows in all.\n")
    sys.exit("\n".join(differ) or 0)


def main():
    if sys.argv[1] == "answers":
        return compare()
    folder, table, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    gate = {}
    for line in Path(table).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].isdigit() and cells[5].isdigit():
            gate[int(cells[0])] = float(cells[5])
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    places = {}
    for server in sys.argv[4:]:
        kind, port, names = server.split(":")
        if names != "none":
            schema = attached(connection, kind, port)
            places.update({name: f"{schema}.{name}" for name in names.split()})
    for name in TABLES:
        source = places.get(name, f"read_parquet('{folder}/{name}.parquet')")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    print(f"\n### Against DuckDB {duckdb.__version__} and its scanners, ms, best of {runs}\n")
    print("| query | gate | DuckDB | gate ÷ DuckDB | rows, or one that differs |\n|---|---|---|---|---|")
    totals, answers, differ = [0.0, 0.0], os.environ.get("ANSWERS"), 0
    for name, text in statements():
        number, best, rows = int(name), None, []
        for _ in range(runs):
            began = time.perf_counter()
            rows = connection.execute(text).fetchall()
            took = (time.perf_counter() - began) * 1000
            best = took if best is None else min(best, took)
        ours = gate.get(number)
        if ours is None:
            print(f"| {number} | – | {best:.0f} | | |")
            continue
        found = difference(rows_of(connection, f"{answers}/{name}.parquet"), rows) if answers else None
        differ += found is not None
        totals = [totals[0] + ours, totals[1] + best]
        print(f"| {number} | {ours:.0f} | {best:.0f} | {ours / best:.2f} | {found or len(rows)} |")
    print(f"| all | {totals[0]:.0f} | {totals[1]:.0f} | {totals[0] / max(totals[1], 1):.2f} | |")
    sys.exit(f"{differ} statements give other rows" if differ else 0)


if __name__ == "__main__":
    main()
