"""asyncpg: binary results only, portals with a row limit, introspection of types, pool with reset, cancel by time-out."""

import asyncio
import datetime
import decimal

import asyncpg

import matrix as m


async def connect(user):
    return await asyncpg.connect(host=m.HOST, port=m.PORT, database=m.DATABASE, user=user, password=m.password(user))


def check(act, user="ada"):
    """A check that gets an open connection."""

    async def opened():
        c = await connect(user)
        try:
            return await act(c)
        finally:
            await c.close(timeout=5)

    return lambda: asyncio.run(opened())


def state_of(error):
    return getattr(error, "sqlstate", None)


async def expect_error(act, state):
    try:
        await act
    except asyncpg.PostgresError as error:
        m.expect("SQLSTATE", error.sqlstate, state)
        return
    raise AssertionError(f"no error, expected {state}")


async def connects(c):
    m.expect("current_user", await c.fetchval("select current_user"), "ada")
    m.expect("version", c.get_server_version()[0], 15)


async def tables(_):
    for user, count in m.TABLES.items():
        c = await connect(user)
        rows = await c.fetch("select table_name from information_schema.tables where table_schema = $1", "public")
        m.expect(f"tables of {user}", len(rows), count)
        await c.close()


async def describe(_):
    for user in ("ada", "sam"):
        c = await connect(user)
        for table, count in m.COLUMNS[user].items():
            statement = await c.prepare(f"select * from {table}")
            m.expect(f"columns of {table} for {user}", len(statement.get_attributes()), count)
        await c.close()


async def types(c):
    wrong = []
    for name, expression, expected in m.type_cases():
        try:
            got = m.text_of(name, await c.fetchval(f"select {expression}"))
        except Exception as error:
            got = f"error: {m.first_line(error)}"
        if got != expected:
            wrong.append(f"{name}: {got!r} instead of {expected!r}")
    if wrong:
        raise AssertionError("; ".join(wrong))
    for row in await c.fetch("select table_name from information_schema.tables where table_schema = 'public'"):
        await c.fetch(f"select * from {row[0]} limit 20")
    return f"{len(m.type_cases())} types in binary, every column of every table"


async def parameters(c):
    for number in range(1, 13):
        m.expect("text", await c.fetchval("select id from accounts where id = $1", f"acc_{number:05}"), f"acc_{number:05}")
        m.expect("any", len(await c.fetch("select id from regions where id = any($1::text[])", ["emea", "amer"])), 2)
        when = datetime.datetime(2025, number, 1, tzinfo=datetime.timezone.utc)
        got = await c.fetchval("select count(*) from accounts where created_at >= $1 and annual_revenue > $2 and rating = $3 and strategic = $4",
                               when, decimal.Decimal("1000.50"), number % 5 + 1, False)
        wanted = await c.fetchval(f"select count(*) from accounts where created_at >= '{when.isoformat()}' and annual_revenue > 1000.50"
                                  f" and rating = {number % 5 + 1} and not strategic")
        m.expect(f"count at execution {number}", got, wanted)
        row = await c.fetchrow("select $1::int8, $2::float8, $3::date, $4::bytea, $5::bool, $6::numeric, $7::text",
                               number, number / 2, datetime.date(2025, 1, number), b"\0\xff", True, decimal.Decimal("1.50"), None)
        m.expect(f"echo {number}", tuple(row), (number, number / 2, datetime.date(2025, 1, number), b"\0\xff", True, decimal.Decimal("1.50"), None))
    return "5 statements, 12 executions each, binary parameters"


async def errors(c):
    for sql, state in [("select * from no_such_table", "42P01"), ("select no_such from regions", "42703"), ("selec 1", "42601"),
                       ("select 1/0", "22012"), ("select 'x'::int", "22P02")]:
        await expect_error(c.fetch(sql), state)
    m.expect("after the errors", await c.fetchval("select 1"), 1)
    kept, m.password = m.password, lambda user: "wrong"
    try:
        await expect_error(connect("ada"), "28P01")
    finally:
        m.password = kept


async def cancel(c):
    try:
        await c.fetch(m.SLOW, timeout=1)
    except asyncio.TimeoutError:
        m.expect("after the time-out", await c.fetchval("select 1"), 1)
        return "by the client's time-out"
    raise AssertionError("no time-out")


async def transactions(c):
    async with c.transaction(isolation="repeatable_read", readonly=True):
        m.expect("read", await c.fetchval("select count(*) from regions"), 4)
        try:
            async with c.transaction():
                await c.fetch("select 1/0")
        except asyncpg.DivisionByZeroError:
            pass
        m.expect("after the savepoint", await c.fetchval("select count(*) from regions"), 4)
    await expect_error(c.execute("insert into regions (id) values ('x')"), "0A000")
    return "nested by savepoint; writes are refused with 0A000: the gate reads"


async def fetch(c):
    count = 0
    async with c.transaction():
        async for _ in c.cursor(m.LARGE, prefetch=1000):
            count += 1
        m.expect("rows", count, m.LARGE_ROWS)
        cursor = await c.cursor(m.LARGE)
        m.expect("first rows", len(await cursor.fetch(10)), 10)
        m.expect("next rows", (await cursor.fetch(1))[0]["id"], "evt_0000011")
    m.expect("after an unfinished read", await c.fetchval("select 1"), 1)
    return f"{count} rows through a suspended portal, 1000 at a time"


async def policy(_):
    for user, count in m.ACCOUNTS.items():
        c = await connect(user)
        m.expect(f"accounts of {user}", await c.fetchval("select count(*) from accounts"), count)
        for table, columns in m.HIDDEN.items():
            for column in columns:
                act = c.fetch(f"select {column} from {table} limit 1")
                await (act if user == "ada" else expect_error(act, "42703"))
        await c.close()


async def own(c):
    import io

    out = io.BytesIO()
    await c.copy_from_query("select id, name from regions order by id", output=out, format="csv")
    m.expect("COPY", out.getvalue().splitlines()[0], b"amer,North America")
    pool = await asyncpg.create_pool(m.uri("sam"), min_size=1, max_size=2)
    for _ in range(3):
        async with pool.acquire() as pooled:
            m.expect("pooled", await pooled.fetchval("select count(*) from accounts"), m.ACCOUNTS["sam"])
    await pool.close()
    await c.execute("select 1; select 2")
    m.expect("executemany", await c.executemany("select $1::int", [(n,) for n in range(12)]), None)
    return "COPY out, pool with reset, several statements, executemany"


m.run("asyncpg", asyncpg.__version__, {
    "connect": check(connects), "tables": check(tables), "describe": check(describe), "types": check(types),
    "parameters": check(parameters), "errors": check(errors), "cancel": check(cancel), "transactions": check(transactions),
    "fetch": check(fetch), "policy": check(policy), "own": check(own),
})
