"""SQLAlchemy 2 over psycopg 3: inspector, full reflection, mapped queries, streaming."""

import sys

import sqlalchemy as sa
from sqlalchemy import orm

import matrix as m

DRIVER = sys.argv[1] if len(sys.argv) > 1 else "psycopg"


def engine(user="ada", **options):
    return sa.create_engine(m.uri(user, f"postgresql+{DRIVER}"), **options)


def state_of(error):
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def scalar(sql, user="ada", **parameters):
    with engine(user).connect() as c:
        return c.execute(sa.text(sql), parameters).scalar()


def connects():
    m.expect("current_user", scalar("select current_user"), "ada")


def tables():
    for user, count in m.TABLES.items():
        inspector = sa.inspect(engine(user))
        names = inspector.get_table_names() + inspector.get_view_names()
        m.expect(f"tables of {user}", len(names), count)
        m.expect("has_table", inspector.has_table("employees"), user != "iris")
    m.expect("schemas", {"public", "information_schema"} - set(inspector.get_schema_names()), set())


def describe():
    for user in ("ada", "sam"):
        metadata = sa.MetaData()
        metadata.reflect(engine(user), views=True)
        m.expect(f"reflected for {user}", len(metadata.tables), m.TABLES[user])
        for table, count in m.COLUMNS[user].items():
            m.expect(f"columns of {table} for {user}", len(metadata.tables[table].columns), count)
        m.expect("primary key", [c.name for c in metadata.tables["accounts"].primary_key], ["id"])
        m.expect("type", str(metadata.tables["accounts"].c.annual_revenue.type), "NUMERIC(18, 4)")
        if not metadata.tables["accounts"].comment:
            raise AssertionError("no comment on accounts")
    inspector = sa.inspect(engine())
    for table in inspector.get_table_names():
        inspector.get_foreign_keys(table), inspector.get_indexes(table), inspector.get_unique_constraints(table)
        inspector.get_check_constraints(table), inspector.get_table_comment(table), inspector.get_pk_constraint(table)
    keys = sum(len(inspector.get_foreign_keys(t)) for t in inspector.get_table_names())
    return f"every table and view reflected; {keys} foreign keys"


def types():
    with engine().connect() as c:

        def read(sql):
            try:
                return c.execute(sa.text(sql.replace(":", "\\:"))).scalar()
            except Exception:
                c.rollback()
                raise

        return m.compare_types(read)


def parameters():
    metadata = sa.MetaData()
    e = engine()
    accounts = sa.Table("accounts", metadata, autoload_with=e)
    with e.connect() as c:
        for number in range(1, 13):
            row = c.execute(sa.select(accounts.c.id).where(accounts.c.id == f"acc_{number:05}", accounts.c.rating.in_([1, 2, 3, 4, 5, None]))).all()
            m.expect(f"execution {number}", row, [(f"acc_{number:05}",)])
        found = c.execute(sa.select(accounts.c.id).where(accounts.c.name.ilike("%redwood%")).order_by(accounts.c.id).limit(3).offset(1)).all()
        m.expect("ilike, limit, offset", len(found), 3)
        grouped = c.execute(sa.select(accounts.c.region_id, sa.func.count()).group_by(accounts.c.region_id).having(sa.func.count() > 10)).all()
        m.expect("groups", len(grouped), 4)
    return "12 executions; in, ilike, limit, offset, having"


def errors():
    for sql, state in [("select * from no_such_table", "42P01"), ("select no_such from regions", "42703"), ("select 1/0", "22012")]:
        m.expect_error(lambda: scalar(sql), state_of, state)
    try:
        scalar("select 1", user="nobody")
    except sa.exc.OperationalError as error:
        if "authentication failed" not in str(error):
            raise
        return
    raise AssertionError("an unknown user was accepted")


def transactions():
    with engine(isolation_level="REPEATABLE READ").connect() as c:
        with c.begin():
            try:
                with c.begin_nested():
                    c.execute(sa.text("select 1/0"))
            except sa.exc.DBAPIError:
                pass
            m.expect("after the savepoint", c.execute(sa.text("select count(*) from regions")).scalar(), 4)
    users = sa.Table("regions", sa.MetaData(), autoload_with=engine())

    def write():
        with engine().begin() as c:
            c.execute(users.insert().values(id="x"))

    m.expect_error(write, state_of, "0A000", "INSERT")
    return "nested by savepoint; writes are refused with 0A000: the gate reads"


def fetch():
    with engine().connect() as c:
        result = c.execution_options(stream_results=True, yield_per=1000).execute(sa.text(m.LARGE))
        count = sum(len(part) for part in result.partitions())
        m.expect("rows", count, m.LARGE_ROWS)
        return f"{count} rows, yield_per=1000"


def policy():
    for user, count in m.ACCOUNTS.items():
        m.expect(f"accounts of {user}", scalar("select count(*) from accounts", user), count)
    columns = {c["name"] for c in sa.inspect(engine("sam")).get_columns("employees")}
    m.expect("hidden columns", columns & {"salary", "bonus"}, set())
    m.expect_error(lambda: scalar("select salary from employees", "sam"), state_of, "42703")


def own():
    from sqlalchemy.ext.automap import automap_base

    base = automap_base()
    base.prepare(autoload_with=engine("sam"))
    names = set(base.classes.keys())
    m.expect("mapped", "accounts" in names, True)
    with orm.Session(engine("sam", pool_pre_ping=True)) as session:
        account = session.scalars(sa.select(base.classes.accounts).order_by(base.classes.accounts.id)).first()
        m.expect("no credit limit", hasattr(account, "credit_limit"), False)
        m.expect("by primary key", session.get(base.classes.accounts, account.id) is account, True)
    return f"automap of {len(names)} classes, session, pre-ping"


m.run(f"SQLAlchemy ({DRIVER})", sa.__version__, {
    "connect": connects, "tables": tables, "describe": describe, "types": types, "parameters": parameters, "errors": errors,
    "transactions": transactions, "fetch": fetch, "policy": policy, "own": own,
})
