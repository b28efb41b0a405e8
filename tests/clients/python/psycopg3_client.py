"""psycopg 3: server-side parameters, binary results, pipeline, server cursors, COPY out, prepared statements."""

import sys

import psycopg
import psycopg_pool

import matrix as m
from dbapi import Suite

BINARY = len(sys.argv) > 1 and sys.argv[1] == "binary"


def connect(user):
    c = psycopg.connect(host=m.HOST, port=m.PORT, dbname=m.DATABASE, user=user, password=m.password(user),
                        cursor_factory=psycopg.Cursor)
    if BINARY:
        plain = c.cursor
        c.cursor = lambda *a, **k: plain(*a, **{"binary": True, **k})
    return c


def own():
    with suite.open() as c:
        with c.pipeline():
            cursors = [c.execute("select id from accounts where id = %s", (f"acc_{n:05}",)) for n in range(1, 13)]
        m.expect("pipeline", [r.fetchone()[0] for r in cursors], [f"acc_{n:05}" for n in range(1, 13)])
        c.commit()
        m.expect_error(lambda: broken_pipeline(c), lambda e: e.sqlstate, "42703")
        c.rollback()
        m.expect("after a broken pipeline", suite.one(c, "select 1"), 1)
        with c.cursor().copy("copy (select id, annual_revenue, created_at from accounts order by id limit 100) to stdout (format binary)") as copy:
            copy.set_types(["text", "numeric", "timestamptz"])
            copied = list(copy.rows())
        m.expect("binary COPY", copied, suite.rows(c, "select id, annual_revenue, created_at from accounts order by id limit 100"))
        with c.cursor().copy("copy (select id from regions order by id) to stdout") as copy:
            m.expect("COPY", [r[0] for r in copy.rows()], ["amer", "apac", "emea", "latam"])
        with c.cursor(name="narrowed") as narrowed:
            narrowed.execute("select id from accounts where id < %s and id > %s::text order by id", ("acc_00004", "acc_00001"))
            m.expect("cursor with parameters", narrowed.fetchall(), [("acc_00002",), ("acc_00003",)])
        streamed = sum(1 for _ in c.cursor().stream("select id from accounts limit 3000"))
        m.expect("stream", streamed, 3000)
        for number in range(1, 13):
            got = c.execute("select %s::int + 1, %s::text", (number, "x" * number), prepare=True).fetchone()
            m.expect(f"prepared {number}", got, (number + 1, "x" * number))
        m.expect("TypeInfo", psycopg.types.TypeInfo.fetch(c, "numeric").oid, 1700)
        c.rollback()
        c.execute("deallocate all")
        c.rollback()
        c.isolation_level, c.read_only = psycopg.IsolationLevel.SERIALIZABLE, True
        c.rollback()
    with psycopg_pool.ConnectionPool(m.uri("sam"), min_size=1, max_size=2, check=psycopg_pool.ConnectionPool.check_connection) as pool:
        for _ in range(3):
            with pool.connection() as c:
                m.expect("pooled", c.execute("select count(*) from accounts").fetchone()[0], m.ACCOUNTS["sam"])
    return "pipeline, COPY text and binary, stream, prepare, pool, TypeInfo"


def broken_pipeline(c):
    with c.pipeline():
        c.execute("select 1")
        c.execute("select no_such from regions")
        c.execute("select 2")


def cancel(c):
    c.cancel_safe()


suite = Suite(connect, lambda e: getattr(e, "sqlstate", None))
m.run("psycopg 3, binary" if BINARY else "psycopg 3", psycopg.__version__, suite.checks(
    cancel=lambda: suite.cancel(cancel),
    fetch=lambda: suite.fetch(lambda c: c.cursor(name="large")),
    own=own,
))
