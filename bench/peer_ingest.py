"""Appends rows as Arrow batches to a table: ADBC straight into PostgreSQL, or by Flight SQL through the gate. Prints one row of a table.

peer_ingest.py adbc|flight TABLE ROWS PG_PORT GATE_FLIGHT FILE: the file keeps the rate of the first run.
"""

import datetime
import decimal
import os
import sys
import time

import pyarrow

AT_ONCE = 65_536


def batch(first, count):
    ids = pyarrow.array(range(first, first + count), pyarrow.int64())
    names = pyarrow.array([f"customer number {at}" for at in range(first, first + count)])
    amount = [decimal.Decimal((at * 7919) % 100_000_000).scaleb(-2) for at in range(first, first + count)]
    start = int(datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000
    moments = pyarrow.array([start + at * 1_001_000 for at in range(first, first + count)], pyarrow.int64())
    levels = pyarrow.array([at % 10_000 for at in range(first, first + count)], pyarrow.int32())
    columns = {"id": ids, "name": names, "amount": pyarrow.array(amount, pyarrow.decimal128(15, 2)),
               "at": moments.cast(pyarrow.timestamp("us", "UTC")), "level": levels}
    return pyarrow.RecordBatch.from_pydict(columns)


def connected(way, pg_port, gate_flight):
    if way == "adbc":
        from adbc_driver_postgresql import dbapi

        return dbapi.connect(f"postgresql://bench:bench@127.0.0.1:{pg_port}/postgres", autocommit=False)
    import adbc_driver_flightsql.dbapi as dbapi
    from adbc_driver_manager import DatabaseOptions

    options = {DatabaseOptions.USERNAME.value: "bench", DatabaseOptions.PASSWORD.value: "bench"}
    return dbapi.connect(f"grpc://{gate_flight}", db_kwargs=options, autocommit=True)


def main():
    way, table, rows, pg_port, gate_flight, first = sys.argv[1:]
    rows = int(rows)
    batches = [batch(at, min(AT_ONCE, rows - at)) for at in range(0, rows, AT_ONCE)]
    reader = pyarrow.RecordBatchReader.from_batches(batches[0].schema, batches)
    connection = connected(way, pg_port, gate_flight)
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.adbc_ingest(table, reader, mode="append")
    if way == "adbc":
        connection.commit()
    rate = rows / (time.monotonic() - began)
    if not os.path.exists(first):
        with open(first, "w") as kept:
            kept.write(str(rate))
    with open(first) as kept:
        ratio = rate / float(kept.read())
    rules = {"bare": "no rules", "loaded": "CHECK", "ruled": "CHECK, reference, validation"}[table]
    name = "ADBC postgresql, straight" if way == "adbc" else f"Querygate, Flight ingest, {rules}"
    print(f"| {name} | {rate:.0f} | {ratio:.2f} |")


main()
