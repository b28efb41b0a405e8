"""peewee: models that its `pwiz` writes from the catalog, for each user, and queries over them."""

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matrix as m
import peewee

FOLDER = tempfile.TemporaryDirectory(prefix="querygate-peewee-")


@functools.cache
def written(user):
    """What pwiz writes for this user, views included."""
    command = [sys.executable, "-m", "pwiz", "-e", "postgresql", "-H", m.HOST, "-p", str(m.PORT), "-u", user, "-v", m.DATABASE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PGPASSWORD": m.password(user)})
    if done.returncode != 0:
        raise AssertionError(m.first_line(done.stderr.strip().splitlines()[-1]))
    return done.stdout


@functools.cache
def models(user):
    """Those models as a module, with its database open."""
    file = Path(FOLDER.name) / f"{user}_models.py"
    file.write_text(written(user))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.database.init(m.DATABASE, host=m.HOST, port=m.PORT, user=user, password=m.password(user))
    return module


def state_of(error):
    return error.orig.sqlstate if hasattr(error.orig, "sqlstate") else error.orig.pgcode


def connect():
    database = models("ada").database
    m.expect("user", database.execute_sql("select current_user::text").fetchone()[0], "ada")
    m.expect("version", database.server_version // 10000, 15)


def tables():
    for user, count in m.TABLES.items():
        m.expect(f"models of {user}", written(user).count("(BaseModel)"), count)
        m.expect(f"employees for {user}", hasattr(models(user), "Employees"), user != "iris")
        m.expect(f"get_tables of {user}", len(models(user).database.get_tables()) + len(models(user).database.get_views()), count)


def describe():
    for user in ("ada", "sam"):
        module = models(user)
        for table, count in m.COLUMNS[user].items():
            m.expect(f"fields of {table} for {user}", len(getattr(module, table.capitalize())._meta.fields), count)
        m.expect("a foreign key", module.Contacts.account.rel_model is module.Accounts, True)
        m.expect("a primary key", module.Accounts._meta.primary_key.name, "id")
        m.expect("indexes", len(module.database.get_indexes("accounts")) > 0, True)
    return f"{written('ada').count('ForeignKeyField(')} foreign keys"


def parameters():
    accounts = models("ada").Accounts
    for number in range(1, 13):
        m.expect("by key", accounts.get_by_id(f"acc_{number:05}").id, f"acc_{number:05}")
    m.expect("conditions", accounts.select().where(accounts.rating.in_([1, 2]), accounts.name.contains("redwood"), accounts.name != "o'x").count() > 0, True)


def errors():
    with_salary = peewee.RawQuery("select salary from employees", [], _database=models("sam").database)
    m.expect_error(lambda: list(with_salary), state_of, "42703")
    m.expect_error(lambda: models("ada").database.execute_sql("select 1/0"), state_of, "22012")
    m.expect("afterwards", models("ada").database.execute_sql("select 1").fetchone(), (1,))


def transactions():
    module = models("ada")
    with module.database.atomic():
        with module.database.savepoint() as savepoint:
            savepoint.rollback()
        m.expect("after the savepoint", module.Regions.select().count(), 4)
    m.expect_error(lambda: module.Regions.create(id="x"), state_of, "0A000")
    return "nested by savepoint; writes are refused with 0A000: the gate reads"


def fetch():
    events = models("ada").Events
    rows = events.select(events.id, events.occurred_at).order_by(events.id).limit(m.LARGE_ROWS).tuples()
    m.expect("rows", sum(1 for _ in rows.iterator()), m.LARGE_ROWS)
    return "iterator()"


def policy():
    for user, count in m.ACCOUNTS.items():
        m.expect(f"accounts of {user}", models(user).Accounts.select().count(), count)
        hidden = [name for name in m.HIDDEN["employees"] if name in models(user).Employees._meta.fields]
        m.expect(f"hidden columns of {user}", hidden, m.HIDDEN["employees"] if user == "ada" else [])


def own():
    for user, count in m.ACCOUNTS.items():
        module = models(user)
        accounts, regions, contacts = module.Accounts, module.Regions, module.Contacts
        number = peewee.fn.COUNT(accounts.id)
        grouped = list(accounts.select(regions.name.alias("region_name"), number.alias("n"), peewee.fn.MAX(accounts.rating).alias("best"))
                       .join(regions).group_by(regions.name).having(number > 0).order_by(number.desc()).dicts())
        m.expect(f"accounts by region for {user}", sum(row["n"] for row in grouped), count)
        some = accounts.select().where(accounts.rating > 2).order_by(accounts.id).limit(20)
        fetched = peewee.prefetch(some, contacts)
        m.expect(f"prefetch for {user}", (len(fetched), any(len(a.contacts_set) for a in fetched)), (20, True))
        joined = contacts.select(contacts, accounts).join(accounts).order_by(contacts.id).paginate(2, 10)
        m.expect(f"a page of a join for {user}", [c.account.id is not None for c in joined], [True] * 10)
    return "group by over a join, prefetch, pages, as two users"


m.run("peewee", peewee.__version__, {"connect": connect, "tables": tables, "describe": describe, "parameters": parameters, "errors": errors,
                                     "transactions": transactions, "fetch": fetch, "policy": policy, "own": own})
