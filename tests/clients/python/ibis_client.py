"""Ibis: tables of the gate as expressions, which it writes as SQL; answers as pandas and Arrow."""

import functools

import ibis
import matrix as m


@functools.cache
def opened(user):
    return ibis.postgres.connect(host=m.HOST, port=m.PORT, user=user, password=m.password(user), database=m.DATABASE)


def connect():
    m.expect("version", opened("ada").version.startswith("15"), True)
    m.expect("schema", opened("ada").current_database, "public")


def tables():
    for user, count in m.TABLES.items():
        found = opened(user).list_tables()
        m.expect(f"tables of {user}", len(found), count)
        m.expect(f"employees for {user}", "employees" in found, user != "iris")
    m.expect("schemas", "public" in opened("ada").list_databases(), True)


def describe():
    for user in ("ada", "sam"):
        for table, count in m.COLUMNS[user].items():
            m.expect(f"columns of {table} for {user}", len(opened(user).table(table).schema()), count)
    schema = opened("ada").table("accounts").schema()
    found = [str(schema[name]) for name in ("id", "annual_revenue", "rating", "strategic", "created_at")]
    m.expect("types", found, ["!string", "decimal(18, 4)", "int32", "boolean", "timestamp('UTC', 6)"])


def types():
    names = opened("ada").list_tables()
    for name in names:
        opened("ada").table(name).limit(100).to_pyarrow()
    return f"every column of {len(names)} tables as Arrow"


def errors():
    m.expect_error(lambda: opened("ada").raw_sql("select 1/0"), lambda e: e.sqlstate, "22012")
    m.expect_error(lambda: opened("ada").raw_sql("select * from no_such_table"), lambda e: e.sqlstate, "42P01")
    m.expect_error(lambda: opened("sam").table("employees").salary, lambda _: None, "", "salary")
    m.expect("afterwards", opened("ada").sql("select 1 as one").to_pandas().one[0], 1)


def fetch():
    events = opened("ada").table("events").select("id", "account_id", "occurred_at").order_by("id").limit(m.LARGE_ROWS)
    m.expect("rows", sum(batch.num_rows for batch in events.to_pyarrow_batches(chunk_size=1000)), m.LARGE_ROWS)
    return "Arrow batches of 1000"


def policy():
    for user, count in m.ACCOUNTS.items():
        m.expect(f"accounts of {user}", int(opened(user).table("accounts").count().execute()), count)


def own():
    for user, count in m.ACCOUNTS.items():
        c = opened(user)
        accounts, regions = c.table("accounts"), c.table("regions")
        joined = accounts.join(regions, accounts.region_id == regions.id).select(accounts.id, "rating", "strategic", "created_at", region=regions.name)
        grouped = joined.group_by("region").agg(n=lambda t: t.count(), best=lambda t: t.rating.max(), strategic=lambda t: t.strategic.sum(), ids=lambda t: t.id.nunique())
        frame = grouped.filter(grouped.n > 0).order_by(ibis.desc("n")).to_pandas()
        m.expect(f"accounts by region for {user}", (int(frame.n.sum()), list(frame.n) == list(frame.ids)), (count, True))
        months = joined.mutate(month=joined.created_at.truncate("M"), year=joined.created_at.year()).group_by("month").agg(n=lambda t: t.count())
        m.expect(f"accounts by month for {user}", int(months.to_pandas().n.sum()), count)
        ranked = joined.mutate(place=ibis.row_number().over(group_by="region", order_by=[ibis.desc("rating"), "id"])).filter(lambda t: t.place < 2)
        m.expect(f"two of each region for {user}", set(ranked.group_by("region").agg(n=lambda t: t.count()).to_pandas().n), {2})
        written = accounts.sql("select region_id, avg(annual_revenue) as mean from accounts where rating > 2 group by region_id").order_by("region_id")
        m.expect(f"a table's .sql() for {user}", len(written.to_pandas()), len(frame))
        shape = joined.filter(joined.rating.isin([1, 2]) & joined.region.lower().contains("a")).rating.value_counts().to_pandas()
        m.expect(f"value counts for {user}", sorted(shape.rating), [1, 2])
    return "filter, join, aggregate, window, months, .sql(), as two users"


m.run("Ibis", ibis.__version__, {"connect": connect, "tables": tables, "describe": describe, "types": types, "errors": errors, "fetch": fetch,
                                 "policy": policy, "own": own})
