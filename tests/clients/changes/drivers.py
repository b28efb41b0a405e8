"""psycopg 3 (text and binary parameters) and psycopg2: changes as any PEP 249 client makes them, and what is their own."""

import datetime
import decimal
import io
import sys

import matrix as m

WHICH = sys.argv[1]
if WHICH == "psycopg2":
    import psycopg2 as driver
    import psycopg2.extras
else:
    import psycopg as driver
SEEN = datetime.datetime(2026, 7, 8, 9, 10, 11, 123456, tzinfo=datetime.timezone.utc)
FIRST = ("i1", "Grün", decimal.Decimal("12.50"), 0.1, SEEN, datetime.date(2026, 12, 31), True, 1, "eu")


def connect(user="omar", **options):
    c = driver.connect(host=m.HOST, port=m.PORT, dbname=m.DATABASE, user=user, password=m.password(user), **options)
    if WHICH == "psycopg-binary":
        plain = c.cursor
        c.cursor = lambda *a, **k: plain(*a, **{"binary": True, **k})
    return c


def state_of(error):
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def marks(count):
    # psycopg3's %b sends a value in binary.
    return ", ".join(["%b" if WHICH == "psycopg-binary" else "%s"] * count)


def rows(c, sql, values=None):
    cursor = c.cursor()
    cursor.execute(sql, values)
    return [tuple(row) for row in cursor.fetchall()]


def change(c, sql, values=None):
    """The number of changed rows."""
    cursor = c.cursor()
    cursor.execute(sql, values)
    return cursor.rowcount


def one(sql, values=None, user="omar"):
    with_one = connect(user)
    try:
        found = rows(with_one, sql, values)
        return found[0] if found else None
    finally:
        with_one.close()


def insert():
    c = connect()
    columns = "code, title, amount, ratio, seen, due, done, customer_id, region"
    m.expect("one row", change(c, f"insert into ticket ({columns}) values ({marks(9)})", FIRST), 1)
    m.expect("two rows", change(c, "insert into ticket (code, title, region) values (%s, %s, 'eu'), (%s, %s, 'eu')", ("i2", "Größe", "i3", "gone soon")), 2)
    c.commit()
    m.expect("as it is read", one(f"select {columns} from ticket where code = 'i1'"), FIRST)
    m.expect("of another user", one("select count(*) from ticket", user="mara"), (1,))
    for n in range(8):
        m.expect("execution", change(c, "insert into ticket (code, title, ratio, region) values (%s, %s, %s, 'eu')", (f"o{n}", "again", n / 2)), 1)
    c.commit()
    c.close()
    return "9 types as parameters, 8 executions"


def update():
    c = connect()
    m.expect("by a unique value", change(c, "update ticket set amount = %s, done = %s where code = %s", (decimal.Decimal("5.25"), True, "i2")), 1)
    m.expect("by condition", change(c, "update ticket set ratio = ratio + 1 where code like %s and ratio >= %s", ("o_", 1.0)), 6)
    key = rows(c, "select id from ticket where code = 'i2'")[0][0]
    for n in range(7):
        m.expect("by key", change(c, "update ticket set ratio = %s where id = %s", (float(n), key)), 1)
    m.expect("to null", change(c, "update ticket set ratio = %s where id = %s", (None, key)), 1)
    m.expect("a hidden row", change(c, "update ticket set title = 'mine' where code = 'taken'"), 0)
    m.expect("of a query", change(c, "update ticket set due = seen::date from customer c where c.id = ticket.customer_id and c.name = %s", ("Bob",)), 1)
    c.commit()
    c.close()
    return "by key, condition and FROM, 7 executions"


def delete():
    c = connect()
    m.expect("one", change(c, "delete from ticket where code = %s", ("i3",)), 1)
    m.expect("many", change(c, "delete from ticket where code = any(%s)", ([f"o{n}" for n in range(8)],)), 8)
    m.expect("a hidden row", change(c, "delete from ticket where code = %s", ("taken",)), 0)
    c.commit()
    c.close()


def upsert():
    c = connect()
    sql = "insert into ticket (code, title, region) values (%s, %s, 'eu') on conflict (code) do update set title = excluded.title"
    m.expect("taken", change(c, sql, ("i1", "upserted")), 1)
    m.expect("free", change(c, sql, ("u1", "new")), 1)
    m.expect("nothing", change(c, "insert into ticket (code, title, region) values (%s, 'x', 'eu') on conflict do nothing", ("i1",)), 0)
    c.commit()
    m.expect_error(lambda: change(c, sql, ("taken", "mine")), state_of, "23505")
    c.rollback()
    c.close()
    return "a key that a hidden row has is 23505"


def returning():
    c = connect()
    found = rows(c, "insert into ticket (code, title, region) values (%s, 'r', 'eu') returning id, title, done, seen", ("o1",))
    m.expect("inserted", found[0][1:], ("r", False, datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)))
    m.expect("updated", rows(c, "update ticket set amount = 2 where id = %s returning amount * 2, upper(title)", (found[0][0],)), [(decimal.Decimal("4.00"), "R")])
    m.expect("deleted", rows(c, "delete from ticket where id = %s returning *", (found[0][0],))[0][0], found[0][0])
    c.commit()
    c.close()


LINES = "c1\ttab\\tand \\\\\t1.25\tt\t\\N\teu\n"
CSV = 'code,title,amount,done,customer_id,region\nc2,"a ""quote"", and",,f,2,eu\n'
COLUMNS = "ticket (code, title, amount, done, customer_id, region)"


def copy():
    c = connect()
    if WHICH == "psycopg2":
        cursor = c.cursor()
        cursor.copy_expert(f"copy {COLUMNS} from stdin", io.StringIO(LINES))
        m.expect("copied", cursor.rowcount, 1)
        cursor.copy_expert(f"copy {COLUMNS} from stdin (format csv, header)", io.StringIO(CSV))
        cursor.copy_from(io.StringIO("o1\tx\teu\n"), "ticket", columns=("code", "title", "region"))
        note = "copy_expert with text and CSV, copy_from"
    else:
        cursor = c.cursor()
        with cursor.copy(f"copy {COLUMNS} from stdin") as sink:
            sink.write(LINES)
        m.expect("copied", cursor.rowcount, 1)
        with cursor.copy(f"copy {COLUMNS} from stdin (format csv, header)") as sink:
            sink.write(CSV)
        with cursor.copy("copy ticket (code, title, amount, seen, due, done, customer_id, region) from stdin (format binary)") as sink:
            key = "int8" if m.SOURCE == "sqlite" else "int4"
            sink.set_types(["text", "text", "numeric", "timestamptz", "date", "bool", key, "text"])
            for n in range(2000):
                sink.write_row((f"o{n}", "bin", decimal.Decimal(n), SEEN, FIRST[5], True, None, "eu"))
        m.expect("binary rows", rows(c, "select count(*), sum(amount) from ticket where title = 'bin'"), [(2000, decimal.Decimal(1999000))])
        note = "text, CSV, 2,000 rows in binary"
    c.commit()
    m.expect_error(lambda: spoiled(c), state_of, "22P02", "line 2")
    c.rollback()
    m.expect("nothing of it", rows(c, "select count(*) from ticket where code = 'o_spoiled'"), [(0,)])
    change(c, "delete from ticket where code like %s and code <> 'one'", ("o%",))
    c.commit()
    c.close()
    return note


def spoiled(c):
    lines, cursor = "o_spoiled\tx\t1\teu\nox\tx\tmany\teu\n", c.cursor()
    sql = "copy ticket (code, title, amount, region) from stdin"
    if WHICH == "psycopg2":
        return cursor.copy_expert(sql, io.StringIO(lines))
    with cursor.copy(sql) as sink:
        sink.write(lines)


NEW = "insert into ticket (code, title, region) values (%s, %s, 'eu')"


def savepoints():
    c = connect()
    change(c, NEW, ("s1", "kept"))
    change(c, "savepoint a")
    m.expect_error(lambda: change(c, NEW, ("i1", "twice")), state_of, "23505")
    m.expect_error(lambda: change(c, NEW, ("o9", "failed")), state_of, "25P02")
    change(c, "rollback to savepoint a")
    change(c, NEW, ("s2", "after"))
    m.expect("its own", rows(c, "select count(*) from ticket where code in ('s1', 's2')"), [(2,)])
    m.expect("of others", one("select count(*) from ticket where code = 's1'"), (0,))
    c.commit()
    change(c, NEW, ("s3", "rolled back"))
    c.rollback()
    c.close()


def refusals():
    c = connect()
    for sql, state, words in [
        ("insert into ticket (title, region) values ('x', 'us')", "42501", ""),
        ("update ticket set region = 'us' where code = 'one'", "42501", ""),
        ("update ticket set amount = -1 where code = 'one'", "23514", "An amount is no debt."),
        ("insert into ticket (code, title, region) values ('one', 'x', 'eu')", "23505", ""),
        ("insert into ticket (region) values ('eu')", "23502", ""),
        ("update ticket set customer_id = 99 where code = 'one'", "23503", ""),
        ("insert into ticket (title, region) values (repeat('x', 41), 'eu')", "22001", ""),
        ("update ticket set due = 'soon' where code = 'one'", "22007", ""),
        ("create table mine (id int)", "0A000", ""),
        ("alter table ticket add column x int", "0A000", ""),
        ("drop table ticket", "0A000", ""),
    ]:
        m.expect_error(lambda: change(c, sql), state_of, state, words)
        c.rollback()
    try:
        change(c, "update ticket set amount = -1 where code = 'one'")
    except driver.Error as error:
        m.expect("class", type(error).__name__, "CheckViolation")
        m.expect("constraint", error.diag.constraint_name, "worth")
    c.rollback()
    m.expect("after the errors", rows(c, "select amount from ticket where code = 'one'"), [(decimal.Decimal("10.00"),)])
    c.close()
    return "11 statements, the client's own exception classes"


def own():
    c = connect()
    if WHICH == "psycopg2":
        cursor = c.cursor()
        values = [(f"o{n}", "many", "eu") for n in range(250)]
        found = psycopg2.extras.execute_values(cursor, "insert into ticket (code, title, region) values %s returning id", values, fetch=True, page_size=100)
        m.expect("execute_values", len({row[0] for row in found}), 250)
        psycopg2.extras.execute_batch(cursor, "update ticket set amount = %s where code = %s", [(n, f"o{n}") for n in range(250)])
        m.expect("execute_batch", rows(c, "select sum(amount) from ticket where title = 'many'"), [(decimal.Decimal(31125),)])
        cursor.executemany("delete from ticket where code = %s", [(f"o{n}",) for n in range(250)])
        note = "execute_values, execute_batch, executemany"
    else:
        with c.cursor() as cursor:
            cursor.executemany("insert into ticket (code, title, region) values (%s, %s, 'eu') returning id", [(f"o{n}", "many") for n in range(50)], returning=True)
            keys = {cursor.fetchone()[0]}
            while cursor.nextset():
                keys.add(cursor.fetchone()[0])
            m.expect("executemany", len(keys), 50)
        with c.pipeline():
            for n in range(50):
                c.execute("update ticket set amount = %s where code = %s", (n, f"o{n}"))
        m.expect("pipeline", rows(c, "select sum(amount) from ticket where title = 'many'"), [(decimal.Decimal(1225),)])
        c.commit()
        with c.transaction():
            with c.transaction(force_rollback=True):
                c.execute("delete from ticket where title = 'many'")
            c.execute("delete from ticket where title = 'many'", prepare=True)
        c.autocommit = True
        m.expect("merge", change(c, "merge into ticket t using (values ('o1', 'merged')) s(code, title) on t.code = s.code when not matched then insert (code, title, region) values (s.code, s.title, 'eu')"), 1)
        m.expect("lock", rows(c, "select code from ticket where code = 'o1' for update skip locked"), [("o1",)])
        change(c, "delete from ticket where code = 'o1'")
        with driver.ClientCursor(c) as plain:
            m.expect("ClientCursor", plain.execute(NEW + " returning code", ("o2", "it's")).fetchone(), ("o2",))
            plain.execute("delete from ticket where code = %s", ("o2",))
        note = "executemany with RETURNING, pipeline, nested transaction(), MERGE, SKIP LOCKED, ClientCursor"
    c.commit()
    c.close()
    return note


m.run({"psycopg": "psycopg 3", "psycopg-binary": "psycopg 3, binary", "psycopg2": "psycopg2"}[WHICH], driver.__version__.split(" ")[0], {
    "insert": insert, "update": update, "delete": delete, "upsert": upsert, "returning": returning, "copy": copy, "savepoints": savepoints,
    "refusals": refusals, "own": own,
})
