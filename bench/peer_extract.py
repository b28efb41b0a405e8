"""A table of PostgreSQL into a client's Arrow table: the gate's Flight and Postgres ports against clients that go straight to the
server. Prints markdown.

    peer_extract.py PG_PORT GATE_PG GATE_FLIGHT GATE_PID ROWS RUNS

Each reading is a process of its own, the ways take turns, and the best run of each counts. The clock starts when the client is
connected and stops when all rows are in memory; "first row" is a run of its own.
"""

import json
import os
import resource
import subprocess
import sys
import time

QUERY = "SELECT * FROM fetched"
WAYS = {
    # name: (heading, kind, user at the gate, streams)
    "adbc": ("ADBC postgresql, straight", "postgres", None, 1),
    "connectorx": ("ConnectorX, straight", "connectorx", None, 1),
    "duckdb1": ("DuckDB scanner, straight, one connection", "duckdb", None, 1),
    "duckdb2": ("DuckDB scanner, straight, two connections", "duckdb", None, 2),
    "flight1": ("**Querygate, Flight**, one endpoint", "flight", "bench", 1),
    "flight2": ("**Querygate, Flight**, two endpoints", "flight", "bench", 2),
    "narrow1": ("Querygate, Flight, a row policy that all rows pass", "flight", "narrow", 1),
    "narrow2": ("the same, two endpoints", "flight", "narrow", 2),
    "door": ("Querygate, Postgres port, ADBC postgresql (binary COPY)", "postgres", "bench", 1),
}


def connected(kind, user, streams, pg_port, gate_pg, gate_flight):
    """A function that reads all rows into an Arrow table, and one that reads until the first row is there."""
    if kind == "postgres":
        from adbc_driver_postgresql import dbapi

        address = gate_pg + "/demo" if user else f"127.0.0.1:{pg_port}/postgres"
        cursor = dbapi.connect(f"postgresql://{user or 'bench'}:bench@{address}").cursor()
    elif kind == "flight":
        import adbc_driver_flightsql.dbapi as dbapi
        from adbc_driver_flightsql import StatementOptions
        from adbc_driver_manager import DatabaseOptions

        options = {DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: "bench",
                   "adbc.flight.sql.rpc.call_header.querygate-endpoints": str(streams),
                   "adbc.flight.sql.client_option.with_max_msg_size": str(64 << 20)}
        cursor = dbapi.connect(f"grpc://{gate_flight}", db_kwargs=options, autocommit=True).cursor()
        if streams > 1:
            # It gives the rows of one endpoint after the other, and unasked takes five batches of the later ones meanwhile.
            cursor.adbc_statement.set_options(**{StatementOptions.QUEUE_SIZE.value: "100000"})
    elif kind == "connectorx":
        import connectorx

        uri = f"postgresql://bench:bench@127.0.0.1:{pg_port}/postgres"
        return lambda: connectorx.read_sql(uri, QUERY, return_type="arrow"), None
    else:
        import duckdb
        from duckdb_extensions import import_extension

        import_extension("postgres_scanner")
        connection = duckdb.connect()
        connection.execute("LOAD postgres")
        connection.execute(f"SET threads = {streams}")
        connection.execute(f"ATTACH 'host=127.0.0.1 port={pg_port} user=bench password=bench dbname=postgres' AS pg (TYPE postgres, READ_ONLY)")
        table = QUERY.replace("fetched", "pg.public.fetched")
        return lambda: connection.sql(table).to_arrow_table(), lambda: connection.sql(table).to_arrow_reader(2048).read_next_batch()

    def whole():
        cursor.execute(QUERY)
        return cursor.fetch_arrow_table()

    def first():
        cursor.execute(QUERY)
        return next(b for b in cursor.fetch_record_batch() if b.num_rows)

    return whole, first


def cpu_of(pid):
    """Seconds that a process has used so far."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def one(way, what, pg_port, gate_pg, gate_flight, gate_pid):
    """One reading, in this process; what it took as JSON."""
    _, kind, user, streams = WAYS[way]
    whole, first = connected(kind, user, streams, pg_port, gate_pg, gate_flight)
    if what == "first":
        began = time.perf_counter()
        if first:
            first()
        # Whatever still flows is not waited for.
        print(json.dumps({"first": (time.perf_counter() - began) * 1000 if first else None}), flush=True)
        os._exit(0)
    used, gate_used = resource.getrusage(resource.RUSAGE_SELF), cpu_of(gate_pid)
    began = time.perf_counter()
    table = whole()
    seconds = time.perf_counter() - began
    after, gate_after = resource.getrusage(resource.RUSAGE_SELF), cpu_of(gate_pid)
    print(json.dumps({
        "seconds": seconds, "rows": table.num_rows, "columns": table.num_columns, "ids": summed(table.column(0)),
        "client": after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, "gate": gate_after - gate_used,
    }))


def summed(key):
    """The sum of the first column, whatever a client makes of its type: through the gate, integers are numeric, as introspected."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(key.type, pa.BaseExtensionType):
        key = pa.chunked_array([chunk.storage for chunk in key.chunks])
    return pc.sum(key.cast(pa.int64())).as_py()


def read(way, what, arguments):
    done = subprocess.run([sys.executable, __file__, "--one", way, what, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def source_first_row(pg_port):
    """Milliseconds until PostgreSQL's own first row, sent row by row."""
    import psycopg

    with psycopg.connect(f"postgresql://bench:bench@127.0.0.1:{pg_port}/postgres") as connection:
        times = []
        for _ in range(5):
            with connection.cursor() as cursor:
                began = time.perf_counter()
                rows = cursor.stream(QUERY)
                next(rows)
                times.append((time.perf_counter() - began) * 1000)
                connection.cancel_safe()
                try:
                    for _ in rows:
                        pass
                except psycopg.errors.QueryCanceled:
                    pass
            connection.rollback()
        return min(times)


def main():
    if sys.argv[1] == "--one":
        return one(*sys.argv[2:])
    pg_port, gate_pg, gate_flight, gate_pid, rows, runs = sys.argv[1:]
    arguments = [pg_port, gate_pg, gate_flight, gate_pid]
    rows, best, first = int(rows), {}, {}
    for _ in range(int(runs)):
        for way in WAYS:
            taken = read(way, "whole", arguments)
            expected = {"rows": rows, "columns": 10, "ids": rows * (rows - 1) // 2}
            found = {key: taken[key] for key in expected}
            if found != expected:
                raise SystemExit(f"{way}: {found} instead of {expected}")
            if way not in best or taken["seconds"] < best[way]["seconds"]:
                best[way] = taken
            ms = read(way, "first", arguments)["first"]
            if ms is not None:
                first[way] = min(ms, first.get(way, ms))
    source = source_first_row(pg_port)
    print("| client's Arrow table | s | rows/s | ÷ ADBC | ÷ DuckDB, two | client CPU µs a row | gate CPU µs a row | first row ms |")
    print("|---|---|---|---|---|---|---|---|")
    for way, (heading, _, user, _) in WAYS.items():
        taken = best[way]
        rate = rows / taken["seconds"]
        share = lambda other: f"{best[other]['seconds'] / taken['seconds']:.2f}"
        gate = f"{taken['gate'] * 1e6 / rows:.2f}" if user else ""
        started = f"{first[way]:.1f}" if way in first else ""
        print(f"| {heading} | {taken['seconds']:.2f} | {rate:.0f} | {share('adbc')} | {share('duckdb2')} | "
              f"{taken['client'] * 1e6 / rows:.2f} | {gate} | {started} |")
    print(f"\nPostgreSQL's own first row: {source:.1f} ms; through Flight {first['flight1'] - source:+.1f} ms. "
          f"Flight against the Postgres port, binary: {best['door']['seconds'] / best['flight1']['seconds']:.2f} ×.")


main()
