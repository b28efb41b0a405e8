"""dlt: its source over SQL databases reflects tables of the gate and loads them into a DuckDB file, whole and by increments."""

import functools
import os
import tempfile
from pathlib import Path

FOLDER = tempfile.TemporaryDirectory(prefix="querygate-dlt-")
os.environ |= {"DLT_DATA_DIR": f"{FOLDER.name}/data", "DLT_PROJECT_DIR": FOLDER.name, "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}

import dlt
import duckdb
import matrix as m
import sqlalchemy
from dlt.sources.sql_database import sql_database, sql_table

# Of each way to read; by rows it takes a minute for some ten thousand.
LOADED = {"sqlalchemy": ["regions", "products", "employees"], "pyarrow": ["regions", "products", "employees", "accounts"]}


def address(user):
    return m.uri(user, "postgresql+psycopg2")


def pipeline(name):
    return dlt.pipeline(name, destination=dlt.destinations.duckdb(f"{FOLDER.name}/{name}.duckdb"), dataset_name="demo", pipelines_dir=f"{FOLDER.name}/pipelines")


def stored(name, sql):
    with duckdb.connect(f"{FOLDER.name}/{name}.duckdb") as file:
        return file.execute(sql).fetchall()


@functools.cache
def loaded(user, backend="pyarrow"):
    """The tables of `LOADED` in a file of their own."""
    name = f"{user}_{backend}"
    pipeline(name).run(sql_database(address(user), schema="public", table_names=LOADED[backend], backend=backend, reflection_level="full_with_precision"))
    return name


def connect():
    m.expect("resources", list(sql_database(address("ada"), schema="public", table_names=["regions"]).resources), ["regions"])


def tables():
    for user, count in m.TABLES.items():
        found = sql_database(address(user), schema="public", include_views=True).resources
        m.expect(f"tables of {user}", len(found), count)
        m.expect(f"employees for {user}", "employees" in found, user != "iris")


def describe():
    for user in ("ada", "sam"):
        for table, count in m.COLUMNS[user].items():
            columns = sql_table(address(user), table=table, schema="public", reflection_level="full_with_precision").compute_table_schema()["columns"]
            m.expect(f"columns of {table} for {user}", len(columns), count)
    m.expect("types", [columns[name]["data_type"] for name in ("id", "annual_revenue", "rating", "strategic", "created_at")],
             ["text", "decimal", "bigint", "bool", "timestamp"])
    m.expect("primary key", columns["id"]["primary_key"], True)


def errors():
    m.expect_error(lambda: sql_database(address("iris"), schema="public", table_names=["employees"]).resources, lambda _: None, "", "employees")
    failing = sql_table(address("ada"), table="regions", schema="public", query_adapter_callback=lambda *_: sqlalchemy.text("select 1/0 as x"))
    m.expect_error(lambda: list(failing), lambda _: None, "", "division by zero")


def fetch():
    found = sum(page.num_rows for page in sql_table(address("ada"), table="events", schema="public", backend="pyarrow", chunk_size=1000,
                                                    query_adapter_callback=lambda query, _: query.limit(m.LARGE_ROWS)))
    m.expect("rows", found, m.LARGE_ROWS)
    return "Arrow tables of 1000"


def policy():
    for user, count in m.ACCOUNTS.items():
        name = loaded(user)
        m.expect(f"accounts of {user}", stored(name, "select count(*) from demo.accounts"), [(count,)])
        columns = [row[0] for row in stored(name, "select column_name from information_schema.columns where table_name = 'employees'")]
        hidden = [column for column in m.HIDDEN["employees"] if column in columns]
        m.expect(f"hidden columns of {user}", hidden, m.HIDDEN["employees"] if user == "ada" else [])


def own():
    for user, count in m.ACCOUNTS.items():
        for same in ("select count(*), count(distinct id), min(hired_on), max(hired_on), min(name) from demo.employees", "select count(*), min(id), max(name) from demo.products"):
            m.expect(f"both ways are alike for {user}", stored(loaded(user, "sqlalchemy"), same), stored(loaded(user), same))
        name = f"{user}_by_increments"
        for until in ("2025-01-01T00:00:00Z", None):
            created = dlt.sources.incremental("created_at", initial_value=dlt.common.pendulum.parse("1970-01-01T00:00:00Z"),
                                              end_value=None if until is None else dlt.common.pendulum.parse(until))
            pipeline(name).run(sql_table(address(user), table="accounts", schema="public", backend="pyarrow", incremental=created), write_disposition="merge", primary_key="id")
        m.expect(f"by increments for {user}", stored(name, "select count(*), count(distinct id) from demo.accounts"), [(count, count)])
    return "tables into DuckDB by rows and by Arrow; one by increments with merge, as two users"


m.run("dlt", dlt.__version__, {"connect": connect, "tables": tables, "describe": describe, "errors": errors, "fetch": fetch, "policy": policy, "own": own})
