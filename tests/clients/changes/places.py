"""Sources that clients change, each with a gate over it, and what is stored there."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

from installed import HERE, HOME, ROOT, version_of

BINARY = os.environ.get("QUERYGATE_BIN", str(ROOT / "target/debug/querygate"))
CHECKS = ["insert", "update", "delete", "upsert", "returning", "copy", "savepoints", "refusals", "own", "stored"]
TABLES = HERE / "changes"
LOGIN = "of-the-gate"
# What all clients leave behind: code, title, amount, done, customer.
EXPECTED = {
    "one": ("first", "10.00", False, 1), "two": ("second", "20.00", False, 2),
    "i1": ("upserted", "12.50", True, 1), "i2": ("Größe", "5.25", True, None), "u1": ("new", None, False, None),
    "s1": ("kept", None, False, None), "s2": ("after", None, False, None),
}
COPIED = {"c1": ("tab\tand \\", "1.25", True, None), "c2": ('a "quote", and', None, False, 2)}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def done(command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def opened(stack):
    """Metadata of introspection, opened for changes: rows of one's own region, a rule, and CHECKs of pgbench's tables."""
    package = stack["packages"][0]["manifest"]
    for source in package["datasources"]:
        source["external"]["allowWrites"] = True
    for found in package["objects"]:
        found["external"]["writable"] = True
        found["sharingModel"] = "public_read_write"
        if found["name"] == "shop_ticket":
            found["validations"] = [{"name": "worth", "type": "script", "condition": "record.amount != null && record.amount < 0.0", "message": "An amount is no debt.",
                                     "severity": "error", "events": ["insert", "update"]}]
        if found["name"] == "shop_numbered":
            found["fields"]["number"] = {"type": "autonumber", "autonumberFormat": "N-{0000}"}
    rights = package["permissions"][0]
    for name in rights["objects"]:
        rights["objects"][name] |= {"allowCreate": True, "allowEdit": True, "allowDelete": True}
    rules = {"shop_ticket": "region == current_user.region"}
    rules |= {f"shop_pgbench_{table}": "bid >= 1" for table in ("accounts", "branches", "tellers", "history")}
    rights["rowLevelSecurity"] = [{"name": f"rows_of_{name}", "object": name, "operation": "all", "using": rule, "check": rule}
                                  for name, rule in rules.items()]
    return stack


class Place:
    """A source with a gate over it."""

    def __init__(self, folder):
        self.folder = folder
        self.gate = None

    def __enter__(self):
        self.begin()
        (self.folder / "login").write_text(LOGIN)
        arguments = [] if self.name == "sqlite" else ["--password", f"file:{self.folder}/login"]
        done([BINARY, "introspect", self.address(), "--namespace", "shop", "-o", "metadata", *arguments], cwd=self.folder)
        file = self.folder / "metadata/shop.json"
        file.write_text(json.dumps(opened(json.loads(file.read_text()))))
        users = ""
        for name, region in (("omar", "eu"), ("mara", "us")):
            said = done([BINARY, "user", "add", name], input=f"demo-{name}\n", cwd=self.folder)
            verifier = re.search(r"^verifier.*$", said, re.M)[0]
            users += f'[[users]]\nname = "{name}"\n{verifier}\npermission_sets = ["shop_reader"]\nattributes = {{ region = "{region}" }}\n'
        (self.folder / "querygate.toml").write_text(
            f'[server]\ndatabase = "demo"\n[metadata]\npath = "metadata"\n[writes]\nenabled = true\n[[sources]]\nname = "shop"\nwrites = true\n{self.source()}{users}')
        self.port, log = free_port(), open(self.folder / "log", "w")
        command = [BINARY, "serve", "-c", "querygate.toml", "--pg", f"127.0.0.1:{self.port}", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
        self.gate = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        for _ in range(600):
            if self.gate.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        said = (self.folder / "log").read_text()[-2000:]
        self.__exit__()
        raise SystemExit(f"the gate does not serve: {said}")

    def __exit__(self, *_):
        if self.gate:
            self.gate.terminate()
            try:
                self.gate.wait(20)
            except subprocess.TimeoutExpired:
                self.gate.kill()
        self.end()

    def hidden(self):
        return self.rows("SELECT id, customer_id, title, code, amount, ratio, seen, due, done, region FROM ticket WHERE region <> 'eu' ORDER BY id")

    def examine(self, found, before):
        """What is stored after a client, as the source itself says it."""
        if self.hidden() != before:
            raise AssertionError(f"rows of another region changed: {self.hidden()} instead of {before}")
        wanted = {**EXPECTED, **(COPIED if found["copy"][0] == "ok" else {})}
        stored = {}
        for code, title, amount, is_done, customer in self.rows("SELECT code, title, amount, done, customer_id FROM ticket WHERE region = 'eu'"):
            if not (code or "").startswith("o") or code == "one":
                stored[code] = (title, None if amount is None else f"{float(amount):.2f}", is_done in (True, 1, "t"),
                                None if customer is None else int(customer))
        wrong = [f"{code}: {stored.get(code)} instead of {wanted.get(code)}" for code in sorted({*stored, *wanted}, key=str)
                 if stored.get(code) != wanted.get(code)]
        if wrong:
            raise AssertionError("; ".join(wrong))


class PostgreSQL(Place):
    """A server of its own, gone with the place."""

    name = "postgres"
    binaries = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))

    def server(self, *command):
        become = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
        return done([*become, self.binaries / command[0], *command[1:]], cwd="/")

    def begin(self):
        base = self.folder / "server"
        base.mkdir()
        (base / "password").write_text(LOGIN)
        if os.getuid() == 0:
            for path in (base, base / "password"):
                shutil.chown(path, "postgres", "postgres")
        self.server_port = free_port()
        self.server("initdb", "-D", base / "data", "-U", "gate", "--auth=scram-sha-256", f"--pwfile={base}/password", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        settings = f"-p {self.server_port} -k {base} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.server("pg_ctl", "-D", base / "data", "-l", base / "log", "-w", "-o", settings, "start")
        self.psql("-q", "-f", TABLES / "tables_postgres.sql")
        # The gate changes rows of tables with a key only, and pgbench's history has none.
        done(["pgbench", "-i", "-q", "-s", "1", "-h", "127.0.0.1", "-p", str(self.server_port), "-U", "gate", "postgres"], env=self.environment())
        self.psql("-q", "-c", "ALTER TABLE pgbench_history ADD COLUMN id uuid PRIMARY KEY DEFAULT gen_random_uuid()")

    def end(self):
        self.server("pg_ctl", "-D", self.folder / "server/data", "-m", "immediate", "stop")

    def environment(self):
        return {**os.environ, "PGPASSWORD": LOGIN}

    def psql(self, *arguments):
        return done([self.binaries / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.server_port), "-U", "gate", "-d", "postgres", *arguments],
                    env=self.environment())

    def address(self):
        return f"postgres://gate@127.0.0.1:{self.server_port}/postgres"

    def source(self):
        return (f'kind = "postgres"\nhost = "127.0.0.1"\nport = {self.server_port}\nuser = "gate"\ndatabase = "postgres"\npassword = "file:login"\n'
                'write_user = "gate"\nwrite_password = "file:login"\n')

    def reset(self):
        self.psql("-q", "-c", "TRUNCATE ticket, customer, numbered RESTART IDENTITY CASCADE", "-f", TABLES / "seed.sql")

    def rows(self, sql):
        return [tuple(row) for row in json.loads(self.psql("-At", "-c", f"SELECT coalesce(json_agg(json_build_array({columns(sql)})), '[]') FROM ({sql}) q"))]


def columns(sql):
    return ", ".join(f"q.{name.strip()}" for name in sql.split("FROM")[0].removeprefix("SELECT").split(","))


class SQLite(Place):
    """A file."""

    name = "sqlite"

    def begin(self):
        with sqlite3.connect(self.folder / "shop.sqlite") as file:
            file.executescript((TABLES / "tables_sqlite.sql").read_text())
        file.close()

    def end(self):
        """The file goes with its folder."""

    def address(self):
        return "shop.sqlite"

    def source(self):
        return 'kind = "sqlite"\npath = "shop.sqlite"\n'

    def reset(self):
        file = sqlite3.connect(self.folder / "shop.sqlite", timeout=30)
        file.executescript("BEGIN IMMEDIATE; DELETE FROM ticket; DELETE FROM customer; DELETE FROM numbered;" + (TABLES / "seed.sql").read_text() + "COMMIT;")
        file.close()

    def rows(self, sql):
        file = sqlite3.connect(self.folder / "shop.sqlite", timeout=30)
        try:
            return file.execute(sql).fetchall()
        finally:
            file.close()


def run_client(name, command, place):
    """(label, version, {check: (outcome, note)})"""
    place.reset()
    before = place.hidden()
    environment = {**os.environ, "GATE_PORT": str(place.port), "SOURCE": place.name, "CHECKS": " ".join(CHECKS[:-1]), "NODE_ROOT": str(HOME / "node"),
                   "PYTHONPATH": str(HERE / "python"), "PGX_VERSION": version_of("golang-github-jackc-pgx-v4-dev"), "LC_ALL": "C.UTF-8",
                   "PYTHONDONTWRITEBYTECODE": "1"}
    label, version, found, errors = name, "", {}, ""
    try:
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, timeout=300, check=False)
        output, errors = result.stdout, result.stderr
    except subprocess.TimeoutExpired as late:
        output, errors = (late.stdout or b"").decode(errors="replace"), "did not end within 300 s"
    for line in output.splitlines():
        parts = line.split("\t")
        if parts[0] == "client" and len(parts) == 3:
            label, version = parts[1], parts[2]
        elif parts[0] in CHECKS and len(parts) == 3:
            found[parts[0]] = (parts[1], parts[2].strip())
    for check in CHECKS[:-1]:
        last = (errors.strip().splitlines() or ["no result"])[-1]
        found.setdefault(check, ("FAIL", f"no result: {last[:300]}"))
    try:
        if found["update"][0] != "n/a":
            place.examine(found, before)
        found["stored"] = ("ok", "")
    except AssertionError as wrong:
        found["stored"] = ("FAIL", str(wrong))
    return label, version, found
