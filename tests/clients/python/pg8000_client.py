"""pg8000: a pure Python client, extended protocol, text results."""

import pg8000
import pg8000.dbapi

import matrix as m
from dbapi import Suite


def connect(user):
    return pg8000.dbapi.connect(user=user, host=m.HOST, port=m.PORT, database=m.DATABASE, password=m.password(user))


def state_of(error):
    return error.args[0].get("C") if error.args and isinstance(error.args[0], dict) else None


def own():
    import pg8000.native

    c = pg8000.native.Connection("ada", host=m.HOST, port=m.PORT, database=m.DATABASE, password=m.password("ada"))
    statement = c.prepare("select id from regions where id = :id")
    for number in range(12):
        m.expect(f"prepared {number}", statement.run(id="emea"), [["emea"]])
    statement.close()
    import io

    out = io.BytesIO()
    c.run("copy (select 1, 'x') to stdout with (format csv)", stream=out)
    m.expect("COPY", out.getvalue(), b"1,x\n")
    c.close()
    return "native API, prepared statement, COPY"


suite = Suite(connect, state_of)
m.run("pg8000", pg8000.__version__, suite.checks(own=own))
