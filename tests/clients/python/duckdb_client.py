"""DuckDB: ATTACH through its postgres extension, as each user."""

import sys

import duckdb

import matrix as m


def attach(user):
    from duckdb_extensions import import_extension

    import_extension("postgres_scanner")
    c = duckdb.connect()
    c.execute("load postgres")
    c.execute(f"attach 'host={m.HOST} port={m.PORT} dbname={m.DATABASE} user={user} password={m.password(user)}' as gate (type postgres, read_only)")
    return c


def connects():
    attach("ada").close()


def tables():
    for user, count in m.TABLES.items():
        c = attach(user)
        m.expect(f"tables of {user}", c.execute("select count(*) from duckdb_tables() where database_name = 'gate' and schema_name = 'public'").fetchone()[0]
                 + c.execute("select count(*) from duckdb_views() where database_name = 'gate' and schema_name = 'public'").fetchone()[0], count)


def describe():
    for user in ("ada", "sam"):
        for table, count in m.COLUMNS[user].items():
            m.expect(f"columns of {table}", len(attach(user).execute(f"describe gate.public.{table}").fetchall()), count)


def types():
    c = attach("ada")
    tables = [r[0] for r in c.execute("select table_name from duckdb_tables() where database_name = 'gate' and schema_name = 'public'").fetchall()]
    for table in tables:
        c.execute(f"select * from gate.public.{table} limit 50").fetchall()
    return f"every column of {len(tables)} tables"


def fetch():
    m.expect("rows", attach("ada").execute("select count(id) from gate.public.accounts").fetchone()[0], m.ACCOUNTS["ada"])


def policy():
    for user, count in m.ACCOUNTS.items():
        m.expect(f"accounts of {user}", attach(user).execute("select count(id) from gate.public.accounts").fetchone()[0], count)
    m.expect_error(lambda: attach("sam").execute("select salary from gate.public.employees"), lambda _: None, "", "salary")


def errors():
    m.expect_error(lambda: attach("ada").execute("select * from postgres_query('gate', 'select 1/0')").fetchall(), lambda _: None, "", "division by zero")


def own():
    c = attach("ada")
    joined = c.execute("select r.name, count(*) from gate.public.accounts a join gate.public.regions r on r.id = a.region_id where a.rating = 3 group by 1 order by 1").fetchall()
    m.expect("join", len(joined), 4)
    filtered = c.execute("select count(*) from gate.public.accounts where id = 'acc_00001'").fetchone()[0]
    m.expect("filter", filtered, 1)
    return "join and filter push-down"


m.run("DuckDB", duckdb.__version__, {"connect": connects, "tables": tables, "describe": describe, "types": types, "fetch": fetch, "policy": policy, "errors": errors, "own": own})
