"""SQLAlchemy 2: changes through Core and through mapped classes, with the batches that it makes of them."""

import datetime
import decimal
import sys

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import insert as pg_insert

import matrix as m

DRIVER = sys.argv[1]


class Base(orm.DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    tickets: orm.Mapped[list["Ticket"]] = orm.relationship(back_populates="customer", cascade="all, delete-orphan")


class Ticket(Base):
    __tablename__ = "ticket"
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True)
    customer_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("customer.id"))
    title: orm.Mapped[str] = orm.mapped_column(sa.String(40))
    code: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    amount: orm.Mapped[decimal.Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    ratio: orm.Mapped[float | None] = orm.mapped_column(sa.Double)
    seen: orm.Mapped[datetime.datetime] = orm.mapped_column(sa.DateTime(timezone=True), server_default=sa.FetchedValue())
    due: orm.Mapped[datetime.date | None]
    done: orm.Mapped[bool] = orm.mapped_column(server_default=sa.FetchedValue())
    region: orm.Mapped[str] = orm.mapped_column(sa.Text, default="eu")
    customer: orm.Mapped[Customer | None] = orm.relationship(back_populates="tickets")


engine = sa.create_engine(m.uri("omar", f"postgresql+{DRIVER}"))
T = Ticket.__table__


def state_of(error):
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def session():
    return orm.Session(engine)


def by_code(s, code):
    return s.scalars(sa.select(Ticket).where(Ticket.code == code)).one()


def insert():
    seen = datetime.datetime(2026, 7, 8, 9, 10, 11, 123456, tzinfo=datetime.timezone.utc)
    with session() as s:
        first = Ticket(code="i1", title="Grün", amount=decimal.Decimal("12.50"), ratio=0.1, seen=seen, due=datetime.date(2026, 12, 31), done=True, customer_id=1)
        s.add(first)
        s.flush()
        m.expect("key of the source", first.id is not None, True)
        s.add_all([Ticket(code="i2", title="Größe"), Ticket(code="i3", title="gone soon")])
        # Enough for more than one of its batches.
        s.add_all([Ticket(code=f"o{n}", title="many", amount=n, customer_id=1 + n % 2) for n in range(1200)])
        s.commit()
        m.expect("as it is read", (first.title, first.amount, first.ratio, first.seen, first.due, first.done), ("Grün", decimal.Decimal("12.50"), 0.1, seen, datetime.date(2026, 12, 31), True))
        second = by_code(s, "i2")
        m.expect("defaults of the source", (second.done, second.seen.year), (False, 2026))
        m.expect("rows", s.scalar(sa.select(sa.func.count()).where(Ticket.title == "many")), 1200)
        m.expect("keys of their rows", s.scalar(sa.select(sa.func.count()).where(Ticket.title == "many", Ticket.code != sa.func.concat("o", sa.cast(Ticket.amount, sa.Integer)))), 0)
    return "unit of work: 1,203 objects, keys and defaults of the source"


def update():
    with session() as s:
        second = by_code(s, "i2")
        second.amount, second.done = decimal.Decimal("5.25"), True
        for ticket in s.scalars(sa.select(Ticket).where(Ticket.title == "many").limit(100)):
            ticket.ratio = float(ticket.amount) / 2
        s.commit()
        changed = s.execute(sa.update(Ticket).where(Ticket.title == "many").values(amount=Ticket.amount + 1))
        m.expect("by condition", changed.rowcount, 1200)
        s.execute(sa.update(Ticket), [{"id": second.id, "ratio": 2.5}, {"id": by_code(s, "i1").id, "ratio": 0.2}])
        m.expect("a hidden row", s.execute(sa.update(Ticket).where(Ticket.code == "taken").values(title="mine")).rowcount, 0)
        s.commit()
    return "dirty objects, UPDATE by condition, by a list of keys"


def delete():
    with session() as s:
        s.delete(by_code(s, "i3"))
        s.commit()
        m.expect("many", s.execute(sa.delete(Ticket).where(Ticket.title == "many")).rowcount, 1200)
        m.expect("a hidden row", s.execute(sa.delete(T).where(T.c.code == "taken")).rowcount, 0)
        third = Customer(name="Cy", tickets=[Ticket(code="o1", title="t"), Ticket(code="o2", title="t")])
        s.add(third)
        s.commit()
        s.delete(third)
        s.commit()
        m.expect("its tickets", s.scalar(sa.select(sa.func.count()).where(Ticket.title == "t")), 0)
    return "object, cascade of the unit of work, DELETE by condition"


def upsert():
    with engine.begin() as c:
        def put(code, title):
            statement = pg_insert(T).values(code=code, title=title, region="eu")
            put_there = statement.on_conflict_do_update(index_elements=[T.c.code], set_={"title": statement.excluded.title})
            return c.execute(put_there.returning(T.c.title)).all()

        m.expect("taken", put("i1", "upserted"), [("upserted",)])
        m.expect("free", put("u1", "new"), [("new",)])
        nothing = c.execute(pg_insert(T).values(code="i1", title="x", region="eu").on_conflict_do_nothing().returning(T.c.id))
        m.expect("nothing", nothing.all(), [])
    with session() as s:
        merged = s.merge(Ticket(id=by_code(s, "u1").id, title="new"))
        m.expect("merge", merged.code, "u1")
        s.commit()
    return "on_conflict_do_update, on_conflict_do_nothing, Session.merge"


def returning():
    with session() as s:
        found = s.scalars(sa.insert(Ticket).returning(Ticket, sort_by_parameter_order=True), [{"code": f"o{n}", "title": "r"} for n in range(5)]).all()
        m.expect("inserted in their order", [t.code for t in found], [f"o{n}" for n in range(5)])
        changed = s.execute(sa.update(Ticket).where(Ticket.code == "o1").values(amount=2).returning(Ticket.amount * 2, sa.func.upper(Ticket.title))).all()
        m.expect("updated", [tuple(row) for row in changed], [(decimal.Decimal("4.00"), "R")])
        gone = s.scalars(sa.delete(Ticket).where(Ticket.title == "r").returning(Ticket.code)).all()
        m.expect("deleted", sorted(gone), [f"o{n}" for n in range(5)])
        s.commit()
    return "insertmanyvalues in the order of its parameters"


def copy():
    raise m.NotApplicable("through the driver")


def savepoints():
    with session() as s:
        s.add(Ticket(code="s1", title="kept"))
        s.flush()
        try:
            with s.begin_nested():
                s.add(Ticket(code="i1", title="twice"))
        except sa.exc.IntegrityError as error:
            m.expect("state", state_of(error), "23505")
        s.add(Ticket(code="s2", title="after"))
        s.commit()
        s.add(Ticket(code="s3", title="rolled back"))
        s.flush()
        s.rollback()


def refusals():
    def act(values, code="one"):
        with session() as s:
            s.execute(sa.update(Ticket).where(Ticket.code == code).values(**values))

    m.expect_error(lambda: act({"region": "us"}), state_of, "42501")
    m.expect_error(lambda: act({"amount": -1}), state_of, "23514", "An amount is no debt.")
    m.expect_error(lambda: act({"code": "two"}), state_of, "23505")
    m.expect_error(lambda: act({"title": None}), state_of, "23502")
    m.expect_error(lambda: act({"customer_id": 99}), state_of, "23503")
    m.expect_error(lambda: act({"title": "x" * 41}), state_of, "22001")

    class Other(Base):
        __tablename__ = "other"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

    m.expect_error(lambda: Base.metadata.create_all(engine), state_of, "0A000", "CREATE TABLE")
    m.expect_error(lambda: Base.metadata.drop_all(engine), state_of, "0A000", "DROP")
    with session() as s:
        m.expect("after the errors", by_code(s, "one").amount, decimal.Decimal("10.00"))
    return "create_all and drop_all too"


def own():
    with session() as s:
        locked = s.scalars(sa.select(Ticket).where(Ticket.code == "one").with_for_update(skip_locked=True)).one()
        locked.ratio = 1.5
        s.commit()
        s.execute(sa.update(Ticket).where(Ticket.code == "one").values(ratio=None))
        s.commit()
    metadata = sa.MetaData()
    reflected = sa.Table("ticket", metadata, autoload_with=engine)
    identity = reflected.c.id.identity
    m.expect("identity", (identity.always, identity.start, identity.increment, identity.cycle), (False, 1, 1, False))
    m.expect("its sequence", "ticket_id_seq" in sa.inspect(engine).get_sequence_names(), True)
    with engine.begin() as c:
        new = reflected.insert().values(code="o1", title="reflected", region="eu")
        key = c.execute(new.returning(reflected.c.id)).scalar()
        chosen = sa.select(sa.literal("o2"), reflected.c.title, reflected.c.region).where(reflected.c.id == key)
        c.execute(reflected.insert().from_select(["code", "title", "region"], chosen))
        m.expect("gone", c.execute(reflected.delete().where(reflected.c.title == "reflected")).rowcount, 2)
    return "with_for_update, a reflected table with its identity, INSERT from a query"


m.run(f"SQLAlchemy ({DRIVER})", sa.__version__, {
    "insert": insert, "update": update, "delete": delete, "upsert": upsert, "returning": returning, "copy": copy, "savepoints": savepoints,
    "refusals": refusals, "own": own,
})
