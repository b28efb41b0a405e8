"""psycopg2: text results, client-side parameters, named cursors, COPY out."""

import io

import psycopg2
import psycopg2.extras

import matrix as m
from dbapi import Suite


def connect(user):
    return psycopg2.connect(host=m.HOST, port=m.PORT, dbname=m.DATABASE, user=user, password=m.password(user))


def named(c):
    cursor = c.cursor(name="large")
    cursor.itersize = 1000
    return cursor


def own():
    with suite.open() as c:
        cursor = c.cursor()
        out = io.StringIO()
        cursor.copy_expert("copy (select id, name from regions order by id) to stdout with (format csv, header)", out)
        m.expect("COPY", out.getvalue().splitlines()[:2], ["id,name", "amer,North America"])
        out = io.BytesIO()
        cursor.copy_expert("copy (select id, name from regions) to stdout (format binary)", out)
        m.expect("binary COPY", out.getvalue()[:11], b"PGCOPY\n\xff\r\n\0")
        held = c.cursor(name="held", withhold=True)
        held.execute("select id from accounts order by id")
        m.expect("first", held.fetchone(), ("acc_00001",))
        c.commit()
        m.expect("after commit", held.fetchone(), ("acc_00002",))
        held.close()
        rows = c.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
        rows.execute("select id, name from regions where id = any(%s) order by id", (["emea", "amer"],))
        m.expect("rows by name", [r["id"] for r in rows.fetchall()], ["amer", "emea"])
        c.commit()
        c.set_session(isolation_level="REPEATABLE READ", readonly=True)
        m.expect("read only", suite.one(c, "show transaction_read_only"), "on")
        c.rollback()
        c.reset()
        return "COPY text, csv, binary; cursor with hold; session options; reset"


suite = Suite(connect, lambda e: getattr(e, "pgcode", None))
m.run("psycopg2", psycopg2.__version__.split()[0], suite.checks(
    cancel=lambda: suite.cancel(lambda c: c.cancel()),
    fetch=lambda: suite.fetch(named),
    own=own,
))
