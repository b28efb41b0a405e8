"""Django's ORM: save, delete, bulk_create and their kin; its migrations and its test databases are refused."""

import datetime
import decimal
import io
import sys
import types

import django
from django.conf import settings

import matrix as m

# An application whose models stand here.
sys.modules["shop"] = types.ModuleType("shop")
sys.modules["shop"].__file__ = __file__
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": m.HOST, "PORT": m.PORT, "NAME": m.DATABASE, "USER": "omar", "PASSWORD": m.password("omar")}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "shop"],
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import F, Value  # noqa: E402


class Customer(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=40)

    class Meta:
        app_label, db_table, managed = "shop", "customer", False


class Ticket(models.Model):
    id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
    title = models.CharField(max_length=40)
    code = models.TextField(null=True, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    ratio = models.FloatField(null=True)
    seen = models.DateTimeField(db_default=Value(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)))
    due = models.DateField(null=True)
    done = models.BooleanField(default=False)
    region = models.TextField(default="eu")

    class Meta:
        app_label, db_table, managed = "shop", "ticket", False


def state_of(error):
    return getattr(error.__cause__, "sqlstate", None)


def insert():
    seen = datetime.datetime(2026, 7, 8, 9, 10, 11, 123456, tzinfo=datetime.timezone.utc)
    first = Ticket(code="i1", title="Grün", amount=decimal.Decimal("12.50"), ratio=0.1, seen=seen, due=datetime.date(2026, 12, 31), done=True, customer_id=1)
    first.save()
    found = Ticket.objects.get(pk=first.pk)
    m.expect("as it is read", (found.title, found.amount, found.ratio, found.seen, found.due, found.done, found.customer.name),
             ("Grün", decimal.Decimal("12.50"), 0.1, seen, datetime.date(2026, 12, 31), True, "Ann"))
    Ticket.objects.create(code="i2", title="Größe")
    Ticket.objects.create(code="i3", title="gone soon")
    made = Ticket.objects.bulk_create([Ticket(code=f"o{n}", title="many", amount=n, seen=seen, done=n % 2 == 0, customer_id=2) for n in range(500)], batch_size=200)
    m.expect("keys", len({t.pk for t in made}), 500)
    m.expect("bulk_create", Ticket.objects.filter(title="many", seen=seen, amount__lt=100, done=True).count(), 50)
    return "save, create, bulk_create of 500 in batches"


def update():
    second = Ticket.objects.get(code="i2")
    second.amount, second.done = decimal.Decimal("5.25"), True
    second.save()
    second.ratio = 2.5
    second.save(update_fields=["ratio"])
    m.expect("by condition", Ticket.objects.filter(title="many").update(amount=F("amount") + 1), 500)
    many = list(Ticket.objects.filter(title="many").order_by("id")[:100])
    for ticket in many:
        ticket.ratio, ticket.due = float(ticket.amount) / 2, datetime.date(2026, 1, 1)
    m.expect("bulk_update", Ticket.objects.bulk_update(many, ["ratio", "due"]), 100)
    m.expect("as it is read", Ticket.objects.filter(due="2026-01-01", ratio=F("amount") / 2.0).count(), 100)
    m.expect("a hidden row", Ticket.objects.filter(code="taken").update(title="mine"), 0)
    hidden = Ticket(pk=1, code="taken", title="mine", seen=second.seen)
    m.expect_error(lambda: hidden.save(force_update=True), lambda error: None, "", "did not affect any rows")
    m.expect_error(hidden.save, state_of, "23505")
    return "save, save(update_fields), update with F, bulk_update of 100"


def delete():
    m.expect("one", Ticket.objects.get(code="i3").delete()[0], 1)
    m.expect("many", Ticket.objects.filter(title="many").delete()[0], 500)
    third = Customer.objects.create(name="Cy")
    Ticket.objects.bulk_create([Ticket(code="o1", title="t", customer=third), Ticket(code="o2", title="t", customer=third)])
    m.expect("with its tickets", third.delete()[0], 3)
    m.expect("a hidden row", Ticket.objects.filter(code="taken").delete()[0], 0)
    return "object, QuerySet, the ORM's own cascade"


def upsert():
    rows = [Ticket(code="i1", title="upserted"), Ticket(code="u1", title="new")]
    Ticket.objects.bulk_create(rows, update_conflicts=True, unique_fields=["code"], update_fields=["title"])
    Ticket.objects.bulk_create([Ticket(code="i1", title="x")], ignore_conflicts=True)
    m.expect("stored", sorted(Ticket.objects.filter(code__in=["i1", "u1"]).values_list("title", flat=True)), ["new", "upserted"])
    _, created = Ticket.objects.update_or_create(code="u1", defaults={"title": "new"}, create_defaults={"title": "x"})
    m.expect("update_or_create", created, False)
    found, created = Ticket.objects.get_or_create(code="o1", defaults={"title": "got"})
    m.expect("get_or_create", created, True)
    found.delete()
    return "bulk_create with update_conflicts and ignore_conflicts, update_or_create, get_or_create"


def returning():
    made = Ticket.objects.create(code="o1", title="r")
    m.expect("default of the source, given back", made.seen, datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))
    m.expect("key", made.pk is not None, True)
    made.delete()
    return "keys and db_default"


def savepoints():
    with transaction.atomic():
        Ticket.objects.create(code="s1", title="kept")
        try:
            with transaction.atomic():
                Ticket.objects.create(code="i1", title="twice")
        except IntegrityError as error:
            m.expect("state", state_of(error), "23505")
        Ticket.objects.create(code="s2", title="after")
    try:
        with transaction.atomic():
            Ticket.objects.create(code="s3", title="rolled back")
            raise ValueError("of the application")
    except ValueError:
        pass
    return "nested atomic"


def refused_command(*arguments):
    """The text with which a command of Django ends."""
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except BaseException as error:  # Django's own commands end the process, too
        return f"{error} {error.__cause__} {out.getvalue()}"
    raise AssertionError(f"{arguments} went through")


def create_model():
    with connection.schema_editor() as editor:
        editor.create_model(Ticket)


def refusals():
    one = Ticket.objects.filter(code="one")
    for change, state, words in [
        (lambda: one.update(region="us"), "42501", ""),
        (lambda: one.update(amount=-1), "23514", "An amount is no debt."),
        (lambda: one.update(code="two"), "23505", ""),
        (lambda: one.update(title=None), "23502", ""),
        (lambda: one.update(customer=99), "23503", ""),
        (lambda: one.update(title="x" * 41), "22001", ""),
    ]:
        m.expect_error(change, state_of, state, words)
    try:
        one.update(amount=-1)
    except IntegrityError:
        pass
    else:
        raise AssertionError("a rule is no IntegrityError")
    words = refused_command("migrate")
    if "CREATE TABLE is not supported" not in words or "made and changed in the source itself" not in words:
        raise AssertionError(f"migrate: {m.first_line(words)}")
    m.expect_error(create_model, state_of, "0A000", "CREATE TABLE is not supported")
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
    except (DatabaseError, SystemExit) as error:
        words = f"{error} {error.__cause__} {error.__context__}"
    else:
        raise AssertionError("a test database was created")
    # It makes them from a database that the gate does not have.
    if 'database "postgres" does not exist' not in words:
        raise AssertionError(f"test database: {m.first_line(words)}")
    with connection.cursor() as cursor:
        m.expect_error(lambda: cursor.execute("CREATE DATABASE test_demo"), state_of, "0A000", "CREATE DATABASE is not supported")
    m.expect("after the errors", one.get().amount, decimal.Decimal("10.00"))
    return "migrate, schema_editor and CREATE DATABASE are 0A000; the test runner finds no database postgres to begin from"


def own():
    with transaction.atomic():
        locked = Ticket.objects.select_for_update(skip_locked=True, of=("self",)).select_related("customer").get(code="one")
        m.expect("beside it", locked.customer.name, "Ann")
        locked.ratio = 1.5
        locked.save(update_fields=["ratio"])
    Ticket.objects.filter(code="one").update(ratio=None)
    Ticket.objects.create(code="o1", title="a")
    m.expect("CASE", Ticket.objects.filter(code="o1").update(title=models.Case(models.When(amount=None, then=Value("empty")), default=Value("full"))), 1)
    m.expect("as it is read", Ticket.objects.get(code="o1").title, "empty")
    Ticket.objects.filter(pk__in=Ticket.objects.filter(code="o1").values("pk")).delete()
    m.expect("gone", Ticket.objects.filter(code="o1").exists(), False)
    return "select_for_update(of) with select_related, CASE in SET, DELETE by a subquery"


m.run("Django", django.__version__, {
    "insert": insert, "update": update, "delete": delete, "upsert": upsert, "returning": returning, "savepoints": savepoints,
    "refusals": refusals, "own": own,
})
