"""Django: inspectdb's models as each user, queries through them, a server-side iterator."""

import functools
import io
import os
import subprocess
import sys
import tempfile

import matrix as m


def settings(user):
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": m.HOST, "PORT": m.PORT, "NAME": m.DATABASE, "USER": user, "PASSWORD": m.password(user)}},
        INSTALLED_APPS=[],
        USE_TZ=True,
    )
    django.setup()


@functools.cache
def inspected(user):
    """In a process of its own: Django has one configuration for each."""
    done = subprocess.run([sys.executable, __file__, "inspect", user], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def describe():
    for user in ("ada", "sam"):
        models = inspected(user)
        m.expect("errors", models.count("Unable to inspect"), 0)
        m.expect("models", models.count("(models.Model)"), m.TABLES[user])
        employees = models.split("class Employees", 1)[1].split("class Meta", 1)[0]
        m.expect(f"salary for {user}", "salary" in employees, user == "ada")
    if "models.ForeignKey" not in models and "models.DO_NOTHING" not in models:
        raise AssertionError("no foreign keys")
    return f"inspectdb: {m.TABLES['ada']} models with keys"


@functools.cache
def models():
    from django.db import connection
    from django.db import models as dm

    source = inspected("ada")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "inspected.py"), "w") as file:
            file.write(source.replace("class Meta:", "class Meta:\n        app_label = 'inspected'"))
        sys.path.insert(0, folder)
        import inspected as module
    return module, connection, dm


def own():
    module, connection, dm = models()
    m.expect("count", module.Accounts.objects.count(), m.ACCOUNTS["ada"])
    for number in range(1, 13):
        m.expect("by key", module.Accounts.objects.get(pk=f"acc_{number:05}").pk, f"acc_{number:05}")
    m.expect("filter", module.Accounts.objects.filter(rating__in=[1, 2], name__icontains="redwood", created_at__year=2025).exists(), True)
    grouped = module.Accounts.objects.values("region").annotate(n=dm.Count("id"), total=dm.Sum("annual_revenue")).order_by("region")
    m.expect("groups", len(list(grouped)), 4)
    m.expect("join", module.Contacts.objects.select_related("account").first().account.pk is not None, True)
    return "get, filter, annotate, select_related"


def fetch():
    module, connection, _ = models()
    count = sum(1 for _ in module.Events.objects.order_by("id").only("id", "occurred_at")[:50000].iterator(chunk_size=1000))
    m.expect("rows", count, m.LARGE_ROWS)
    return "iterator(chunk_size=1000)"


def transactions():
    from django.db import Error, transaction

    module, _, _ = models()
    with transaction.atomic():
        try:
            with transaction.atomic():
                module.Regions.objects.extra(select={"x": "1/0"}).first()
        except Error:
            pass
        m.expect("after the savepoint", module.Regions.objects.count(), 4)
    m.expect_error(lambda: module.Regions(pk="x").save(force_insert=True), lambda e: e.__cause__.sqlstate, "0A000")
    return "nested by savepoint; writes are refused with 0A000: the gate reads"


if len(sys.argv) > 2 and sys.argv[1] == "inspect":
    settings(sys.argv[2])
    from django.core.management import call_command

    out = io.StringIO()
    call_command("inspectdb", "--include-views", stdout=out)
    sys.stdout.write(out.getvalue())
else:
    settings("ada")
    import django

    m.run("Django", django.__version__, {"describe": describe, "transactions": transactions, "fetch": fetch, "own": own})
