"""What the runners install for clients, once, under QUERYGATE_CLIENTS (default: ~/.cache/querygate/clients)."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOME = Path(os.environ.get("QUERYGATE_CLIENTS", Path.home() / ".cache/querygate/clients"))
JDBC_JAR = "/usr/share/java/postgresql.jar"
SUPERSET_PIP = ["apache-superset==6.1.0", "psycopg2-binary", "rich", "cachetools", "flask-caching==2.3.1"]
PGADMIN_PIP = ["pgadmin4==9.18"]
BROWSER_NPM = ["playwright-core@1.65.1"]
DBT_PIP = ["dbt-core==1.10.23", "dbt-postgres==1.10.2"]

FAST_PIP = ["psycopg2-binary==2.9.13", "psycopg[binary,pool]==3.3.9", "asyncpg==0.32.0", "pg8000==1.31.6"]
ALL_PIP = FAST_PIP + [
    "sqlalchemy==2.1.9", "greenlet", "pandas==3.1.1", "pytz", "polars==2.1.0", "connectorx==0.4.6", "adbc-driver-postgresql==1.13.0",
    "adbc-driver-manager==1.13.0", "pyarrow", "django==5.2.19", "pyodbc==5.5.0", "pgcli==4.7.1", "duckdb==1.5.5",
    "duckdb-extensions==1.5.5", "duckdb-extension-postgres-scanner==1.5.5",
]
FAST_NPM = ["pg@8.23.1", "pg-cursor", "pg-query-stream", "postgres@3.4.9"]
FAST_NPM += ["@objectstack/client@17.4.0"]
ALL_NPM = FAST_NPM + ["sequelize@6.37.8", "typeorm@1.1.1", "reflect-metadata", "drizzle-orm@0.45.4", "knex@3.3.0", "kysely@0.28.18"]

# Tools that write schemas, models and queries of their own from the catalog.
TOOLS_NPM = [
    "drizzle-kit@0.31.11", "drizzle-orm@0.45.4", "esbuild", "pg@8.23.1", "postgraphile@5.1.5", "@supabase/postgres-meta@0.99.0", "crypto-js",
    "@malloydata/malloy@0.0.431", "@malloydata/db-postgres@0.0.431", "antlr4ts@0.5.0-alpha.4", "@evidence-dev/postgres@1.0.10",
    "kysely@0.28.18", "kysely-codegen@0.20.0", "typescript@5.9.3",
]
# Another GraphQL library than its successor's.
POSTGRAPHILE4_NPM = ["postgraphile@4.14.1", "pg@8.23.1"]
TOOLS_PIP = [
    "peewee==4.5.3", "ibis-framework[postgres]==12.0.0", "sqlglot==28.10.1", "dlt[duckdb]==1.31.0", "duckdb==2.0.1", "sqlalchemy==2.1.9", "psycopg[binary]==3.3.9",
    "psycopg2-binary==2.9.13", "adbc-driver-flightsql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow==26.0.1", "pandas==3.1.1", "polars==2.1.0",
]


def quietly(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def packaged(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def install_debian(packages, python):
    wanted = sorted(packages)
    has = {"nodejs": shutil.which("node"), "npm": shutil.which("npm"), "openjdk-17-jdk-headless": shutil.which("javac"),
           "postgresql-client": shutil.which("psql")}
    if python and not importlib.util.find_spec("ensurepip"):
        wanted.append("python3-venv")
    missing = [p for p in wanted if not has.get(p) and not packaged(p)]
    if missing:
        print("installing", *missing, flush=True)
        quietly(["apt-get", "update", "-qq"])
        quietly(["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends", *missing],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def install_python(packages):
    venv, stamp = HOME / "venv", HOME / "venv.txt"
    have = stamp.read_text().split("\n") if stamp.exists() else []
    if not set(packages) <= set(have):
        if not (venv / "bin/python").exists():
            quietly([sys.executable, "-m", "venv", venv])
        quietly([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages])
        stamp.write_text("\n".join(sorted({*packages, *have})))


def install_node(packages, name="node"):
    folder, stamp = HOME / name, HOME / f"{name}.txt"
    have = stamp.read_text().split("\n") if stamp.exists() else []
    if not set(packages) <= set(have):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "package.json").exists():
            (folder / "package.json").write_text('{"name": "clients", "private": true}')
        quietly(["npm", "install", "--no-audit", "--no-fund", "--silent", *packages], cwd=folder)
        stamp.write_text("\n".join(sorted({*packages, *have})))


def install_apart(name, packages):
    """A virtual environment of its own, for what wants other versions of what others use."""
    venv, stamp = HOME / name, HOME / f"{name}.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(packages):
        quietly([sys.executable, "-m", "venv", venv])
        quietly([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages])
        stamp.write_text("\n".join(packages))


def install_go(source="go/main.go", program="matrix"):
    (HOME / "go").mkdir(exist_ok=True)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(HOME / "go/cache")}
    quietly(["go", "build", "-o", HOME / "go" / program, HERE / source], env=environment)


def install_rust():
    """Built apart from the workspace, with versions of its own."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(HOME / "rust")}
    quietly(["cargo", "build", "--quiet", "--locked", "--manifest-path", HERE / "rust/Cargo.toml"], env=environment)


def install_java(source="jdbc/Matrix.java"):
    (HOME / "jdbc").mkdir(exist_ok=True)
    quietly(["javac", "-cp", JDBC_JAR, "-d", HOME / "jdbc", HERE / source])


def version_of(package):
    """A Debian package's version, without the distribution's part."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout.split(":")[-1].split("-")[0]
