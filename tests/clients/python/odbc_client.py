"""ODBC through psqlodbc, with UseDeclareFetch: catalog functions, statements, cursors in SQL."""

import glob
import sys

import pyodbc

import matrix as m
from dbapi import Suite

MODE = sys.argv[1] if len(sys.argv) > 1 else "plain"
DRIVER = next(iter(glob.glob("/usr/lib/*/odbc/psqlodbcw.so")), "PostgreSQL Unicode")
OPTIONS = "UseDeclareFetch=1;Fetch=100" if MODE == "cursor" else "UseDeclareFetch=0"


def connect(user):
    return pyodbc.connect(f"DRIVER={DRIVER};SERVER={m.HOST};PORT={m.PORT};DATABASE={m.DATABASE};UID={user};PWD={m.password(user)};{OPTIONS}")


class OdbcSuite(Suite):
    def tables(self):
        for user, count in m.TABLES.items():
            with self.open(user) as c:
                found = [t.table_name for t in c.cursor().tables(schema="public")]
                m.expect(f"tables of {user}", len(found), count)
                m.expect("employees", "employees" in found, user != "iris")

    def describe(self):
        for user in ("ada", "sam"):
            with self.open(user) as c:
                cursor = c.cursor()
                m.expect("columns", len(cursor.columns(table="employees", schema="public").fetchall()), m.COLUMNS[user]["employees"])
                m.expect("key", [r.column_name for r in cursor.primaryKeys(table="accounts", schema="public")], ["id"])
                m.expect("foreign", len(cursor.foreignKeys(foreignTable="contacts", foreignSchema="public").fetchall()) > 0, True)
                cursor.statistics("accounts", schema="public").fetchall()
                cursor.getTypeInfo().fetchall(), cursor.procedures().fetchall(), cursor.rowIdColumns("accounts").fetchall()
                described = cursor.execute("select annual_revenue from accounts").description[0]
                m.expect("precision and scale", described[4:6], (18, 4))
        return "tables, columns, keys, statistics, types, procedures"


suite = OdbcSuite(connect, lambda e: e.args[0] if e.args else None, "?")


def errors():
    with suite.open() as c:
        for sql, words in [("select * from no_such_table", "no_such_table"), ("select 1/0", "division by zero"), ("selec 1", "syntax error")]:
            m.expect_error(lambda: suite.rows(c, sql), lambda _: None, "", words)
            c.rollback()
        m.expect("after the errors", suite.one(c, "select 1"), 1)
    return "by their texts: the driver has states of its own"


def transactions():
    with suite.open() as c:
        m.expect("read", suite.one(c, "select count(*) from regions"), 4)
        m.expect_error(lambda: suite.rows(c, "select 1/0"), lambda _: None, "", "division by zero")
        m.expect("after the driver's savepoint", suite.one(c, "select count(*) from regions"), 4)
        c.commit()
        m.expect_error(lambda: suite.rows(c, "insert into regions (id) values ('x')"), lambda _: None, "", "INSERT is not supported")
        c.rollback()
    return "savepoint per statement; writes are refused: the gate reads"


def policy():
    for user, count in m.ACCOUNTS.items():
        with suite.open(user) as c:
            m.expect(f"accounts of {user}", suite.one(c, "select count(*) from accounts"), count)
    with suite.open("sam") as c:
        m.expect_error(lambda: suite.rows(c, "select salary from employees"), lambda _: None, "", "does not exist")
        c.rollback()
        m.expect("hidden", [r.column_name for r in c.cursor().columns(table="employees", schema="public", column="salary")], [])


version = next(iter([suite.connect("ada").getinfo(pyodbc.SQL_DRIVER_VER)])) if m.PORT else ""
m.run("ODBC" + (", UseDeclareFetch" if MODE == "cursor" else ""), f"psqlodbc {version}", suite.checks(
    errors=errors, transactions=transactions, policy=policy, types=lambda: suite.types(skip=("interval",)),
))
