"""Data frame tools: pandas, Polars, ConnectorX, ADBC. Which one: the first argument."""

import sys

import matrix as m

ADA, SAM = m.uri("ada"), m.uri("sam")


def pandas_client():
    import pandas as pd
    import sqlalchemy as sa

    e, s = sa.create_engine(m.uri("ada", "postgresql+psycopg2")), sa.create_engine(m.uri("sam", "postgresql+psycopg2"))

    def describe():
        m.expect("columns", len(pd.read_sql_table("employees", e).columns), m.COLUMNS["ada"]["employees"])
        m.expect("columns of sam", len(pd.read_sql_table("employees", s).columns), m.COLUMNS["sam"]["employees"])

    def types():
        frame = pd.read_sql("select id, annual_revenue, employees, rating, strategic, created_at from accounts limit 100", e)
        m.expect("kinds", [k.kind for k in map(lambda c: frame[c].dtype, ["employees", "strategic", "created_at"])], ["f", "b", "M"])

    def parameters():
        for number in range(1, 13):
            frame = pd.read_sql("select id from accounts where id = %(id)s", e, params={"id": f"acc_{number:05}"})
            m.expect("id", frame.id[0], f"acc_{number:05}")

    def fetch():
        count = sum(len(part) for part in pd.read_sql(m.LARGE, e.connect().execution_options(stream_results=True), chunksize=1000))
        m.expect("rows", count, m.LARGE_ROWS)
        return "chunksize=1000"

    def policy():
        for engine, user in ((e, "ada"), (s, "sam")):
            m.expect("accounts", int(pd.read_sql("select count(*) n from accounts", engine).n[0]), m.ACCOUNTS[user])

    def errors():
        m.expect_error(lambda: pd.read_sql("select salary from employees", s), lambda _: None, "", "does not exist")

    def writes():
        frame = pd.DataFrame({"a": [1]})
        m.expect_error(lambda: frame.to_sql("new_table", e), lambda _: None, "", "CREATE TABLE is not supported")
        raise m.Refused("to_sql is refused with 0A000: the gate reads")

    return "pandas", pd.__version__, {"describe": describe, "types": types, "parameters": parameters, "fetch": fetch,
                                      "policy": policy, "errors": errors, "own": writes}


def polars_client():
    import polars as pl

    def read(sql, uri=ADA, engine="adbc"):
        return pl.read_database_uri(sql, uri, engine=engine)

    def types():
        tables = read("select table_name::text from information_schema.tables where table_schema = 'public'")["table_name"]
        for table in tables:
            read(f"select * from {table} limit 100"), read(f"select * from {table} limit 100", engine="connectorx")
        return f"{len(tables)} tables, through ADBC and ConnectorX"

    def fetch():
        m.expect("rows", read(m.LARGE).height, m.LARGE_ROWS)

    def policy():
        for uri, user in ((ADA, "ada"), (SAM, "sam")):
            m.expect("accounts", read("select id from accounts", uri).height, m.ACCOUNTS[user])

    def errors():
        m.expect_error(lambda: read("select salary from employees", SAM), lambda _: None, "", "does not exist")

    def describe():
        m.expect("columns", len(read("select * from employees", SAM).columns), m.COLUMNS["sam"]["employees"])

    return "Polars", pl.__version__, {"types": types, "fetch": fetch, "policy": policy, "errors": errors, "describe": describe}


def connectorx_client():
    import connectorx as cx

    def read(sql, uri=ADA, **options):
        return cx.read_sql(uri, sql, return_type="arrow", **options)

    def types():
        tables = read("select table_name::text from information_schema.tables where table_schema = 'public'")[0].to_pylist()
        for table in tables:
            for protocol in ("binary", "csv", "cursor", "simple"):
                read(f"select * from {table} limit 50", protocol=protocol)
        return f"{len(tables)} tables by the protocols binary, csv, cursor, simple"

    def parts():
        rows = read("select rating, id from accounts where rating is not null", partition_on="rating", partition_num=3)
        m.expect("rows", rows.num_rows, read("select count(*) n from accounts where rating is not null")[0][0].as_py())
        return "3 partitions"

    def fetch():
        m.expect("rows", read(m.LARGE).num_rows, m.LARGE_ROWS)

    def policy():
        for uri, user in ((ADA, "ada"), (SAM, "sam")):
            m.expect("accounts", read("select id from accounts", uri).num_rows, m.ACCOUNTS[user])

    def errors():
        m.expect_error(lambda: read("select salary from employees", SAM), lambda _: None, "", "does not exist")

    def describe():
        m.expect("columns", read("select * from employees", SAM).num_columns, m.COLUMNS["sam"]["employees"])

    return "ConnectorX", cx.__version__, {"types": types, "fetch": fetch, "policy": policy, "errors": errors, "describe": describe, "own": parts}


def adbc_client():
    import adbc_driver_postgresql
    import adbc_driver_postgresql.dbapi as adbc

    from dbapi import Suite

    class AdbcSuite(Suite):
        def describe(self):
            with self.open("sam") as c:
                m.expect("schema", len(c.adbc_get_table_schema("employees")), m.COLUMNS["sam"]["employees"])
                cursor = c.cursor()
                cursor.execute("select * from employees")
                m.expect("arrow", cursor.fetch_arrow_table().num_columns, m.COLUMNS["sam"]["employees"])

        def tables(self):
            for user, count in m.TABLES.items():
                with self.open(user) as c:
                    found = c.adbc_get_objects(depth="all", db_schema_filter="public").read_all().to_pylist()
                    tables = [t for catalog in found for s in catalog["catalog_db_schemas"] for t in s["db_schema_tables"]]
                    m.expect(f"tables of {user}", len(tables), count)

        def parameters(self):
            with self.open() as c:
                for number in range(1, 13):
                    m.expect("id", self.one(c, "select id from accounts where id = $1", (f"acc_{number:05}",)), f"acc_{number:05}")
                    m.expect("int", self.one(c, "select count(*) from regions where $1 = 1", (1,)), 4)
                    m.expect("float", self.one(c, "select count(*) > 0 from accounts where employees > $1", (number / 2,)), True)

        def transactions(self):
            with self.open() as c:
                m.expect("read", self.one(c, "select count(*) from regions"), 4)
                m.expect_error(lambda: self.rows(c, "select 1/0"), lambda _: None, "", "division by zero")
                c.rollback()
                m.expect("after the rollback", self.one(c, "select count(*) from regions"), 4)
                c.commit()
                m.expect_error(lambda: self.rows(c, "insert into regions (id) values ('x')"), lambda _: None, "", "INSERT is not supported")
                return "writes are refused with 0A000: the gate reads"

        def own(self):
            with self.open() as c:
                cursor = c.cursor()
                m.expect_error(lambda: cursor.adbc_ingest("new_table", __import__("pyarrow").table({"a": [1]})), lambda _: None, "", "CREATE TABLE is not supported")
                raise m.Refused("ingest is refused with 0A000: the gate reads")

    suite = AdbcSuite(lambda user: adbc.connect(m.uri(user)), lambda e: getattr(e, "sqlstate", None), "$1")
    # Its Arrow reader has no text for an interval, and reads numeric as text.
    return "ADBC postgresql", adbc_driver_postgresql.__version__, suite.checks(
        cancel=lambda: suite.cancel(lambda c: c.adbc_cancel()),
        own=suite.own,
        types=lambda: suite.types(skip=("interval", "time")),
    )


which = {"pandas": pandas_client, "polars": polars_client, "connectorx": connectorx_client, "adbc": adbc_client}[sys.argv[1]]
name, version, checks = which()
m.run(name, version, checks)
