"""Superset: registers the gate as a database, lists this user's tables, runs SQL Lab, makes a dataset and a chart, and draws the
chart in a headless Chromium. Knows Superset's HTTP API, no catalog query."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import matrix as m

HOME = Path(os.environ["CLIENTS_HOME"])
BIN = Path(sys.executable).parent
CONFIG = """SECRET_KEY = "only-for-this-test-0123456789abcdef0123456789"
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db?check_same_thread=false"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
DISPLAY_MAX_ROW = 50000
SQL_MAX_ROW = 100000
"""


def environment(folder):
    (folder / "superset_config.py").write_text(CONFIG.format(folder=folder))
    return {**os.environ, "SUPERSET_CONFIG_PATH": str(folder / "superset_config.py"), "SUPERSET_HOME": str(folder),
            "FLASK_APP": "superset.app:create_app()", "PYTHONWARNINGS": "ignore"}


def template():
    """A migrated home, made once: it takes a minute and a half."""
    folder = HOME / "superset-home"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for arguments in (["db", "upgrade"], ["fab", "create-admin", "--username", "admin", "--firstname", "a", "--lastname", "b",
                                              "--email", "a@example.org", "--password", "admin"], ["init"]):
            subprocess.run([BIN / "superset", *arguments], env=environment(folder), check=True, capture_output=True)
        (folder / "ready").write_text("")
    return folder


class Api:
    def __init__(self, base):
        self.base, self.token = base, None

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode()[:400]}") from error

    def login(self):
        body = {"username": "admin", "password": "admin", "provider": "db", "refresh": True}
        self.token = self.call("POST", "/api/v1/security/login", body)["access_token"]


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


work = Path(tempfile.mkdtemp(prefix="querygate-superset-"))
shutil.copytree(template(), work / "home")
port = free_port()
log = open(work / "log", "w")
server = subprocess.Popen([BIN / "superset", "run", "-h", "127.0.0.1", "-p", str(port), "--with-threads"],
                          env=environment(work / "home"), stdout=log, stderr=log)
api = Api(f"http://127.0.0.1:{port}")
databases = {}


def register(user):
    if user not in databases:
        body = {"database_name": f"gate as {user}", "sqlalchemy_uri": m.uri(user, "postgresql+psycopg2")}
        api.call("POST", "/api/v1/database/test_connection/", body)
        databases[user] = api.call("POST", "/api/v1/database/", {**body, "expose_in_sqllab": True})["id"]
    return databases[user]


def lab(user, sql):
    body = {"database_id": register(user), "sql": sql, "schema": "public", "runAsync": False, "client_id": f"q{time.time_ns() % 10**9}",
            "queryLimit": 50000, "tab": "a", "expand_data": True, "select_as_cta": False}
    return api.call("POST", "/api/v1/sqllab/execute/", body)


def tables_of(user):
    query = urllib.parse.quote("(force:!t,schema_name:public)")
    return [t["value"] for t in api.call("GET", f"/api/v1/database/{register(user)}/tables/?q={query}")["result"]]


def connect():
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{api.base}/health", timeout=5)
            break
        except OSError:
            if time.monotonic() > until or server.poll() is not None:
                raise RuntimeError((work / "log").read_text()[-500:]) from None
            time.sleep(0.5)
    api.login()
    register("ada")
    schemas = api.call("GET", f"/api/v1/database/{register('ada')}/schemas/")["result"]
    m.expect("public is a schema", "public" in schemas, True)


def tables():
    for user, count in m.TABLES.items():
        found = tables_of(user)
        m.expect(f"tables of {user}", len(found), count)
        m.expect(f"employees for {user}", "employees" in found, user != "iris")


def describe():
    for user in ("ada", "sam"):
        for table, count in m.COLUMNS[user].items():
            query = urllib.parse.urlencode({"name": table, "schema": "public"})
            found = api.call("GET", f"/api/v1/database/{register(user)}/table_metadata/?{query}")["columns"]
            m.expect(f"columns of {table} for {user}", len(found), count)


def errors():
    for sql, words in (("select no_such from regions", 'resolve the column "no_such"'), ("select 1/0", "division by zero")):
        try:
            lab("ada", sql)
        except RuntimeError as error:
            if words not in str(error).replace('\\\\"', '"').replace('\\"', '"'):
                raise AssertionError(f"{error} has no {words!r}") from error
        else:
            raise AssertionError(f"no error for {sql}")


def fetch():
    m.expect("rows", len(lab("ada", m.LARGE)["data"]), m.LARGE_ROWS)
    return "SQL Lab, 50000 rows"


def policy():
    for user, count in m.ACCOUNTS.items():
        m.expect(f"accounts of {user}", lab(user, "select count(*) as n from accounts")["data"], [{"n": count}])


def dataset_of(user):
    """The table for ada; for others a query, for Superset over SQLite refuses a second dataset of one name."""
    named = {"table_name": "accounts"} if user == "ada" else {"table_name": f"accounts of {user}", "sql": "SELECT * FROM public.accounts"}
    return api.call("POST", "/api/v1/dataset/", {"database": register(user), "schema": "public", **named})["id"]


COUNT = {"label": "accounts", "expressionType": "SQL", "sqlExpression": "COUNT(*)"}


def chart(dataset, name, kind, **params):
    """A chart over a dataset."""
    params = {"viz_type": kind, "datasource": f"{dataset}__table", "metric": COUNT, "adhoc_filters": [], **params}
    body = {"slice_name": name, "viz_type": kind, "datasource_id": dataset, "datasource_type": "table", "params": json.dumps(params)}
    return api.call("POST", "/api/v1/chart/", body)["id"]


def dashboard(title, dataset, charts):
    """Charts side by side and a filter over the region."""
    parents = ["ROOT_ID", "GRID_ID"]
    position = {"DASHBOARD_VERSION_KEY": "v2", "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
                "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": ["ROW-1"], "parents": ["ROOT_ID"]},
                "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": title}},
                "ROW-1": {"type": "ROW", "id": "ROW-1", "children": [f"CHART-{each}" for each in charts], "parents": parents,
                          "meta": {"background": "BACKGROUND_TRANSPARENT"}}}
    for each in charts:
        position[f"CHART-{each}"] = {"type": "CHART", "id": f"CHART-{each}", "children": [], "parents": [*parents, "ROW-1"],
                                     "meta": {"width": 12 // len(charts), "height": 50, "chartId": each}}
    kept = {"native_filter_configuration": [{
        "id": "NATIVE_FILTER-region", "name": "Region", "filterType": "filter_select", "type": "NATIVE_FILTER",
        "targets": [{"datasetId": dataset, "column": {"name": "region_id"}}], "cascadeParentIds": [], "chartsInScope": charts, "tabsInScope": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []}, "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "controlValues": {"enableEmptyFilter": False, "defaultToFirstItem": False, "multiSelect": True, "searchAllOptions": False,
                          "inverseSelection": False}}]}
    body = {"dashboard_title": title, "position_json": json.dumps(position), "json_metadata": json.dumps(kept), "published": True}
    made = api.call("POST", "/api/v1/dashboard/", body)["id"]
    for each in charts:
        api.call("PUT", f"/api/v1/chart/{each}", {"dashboards": [made]})
    return made


def in_browser(script, *arguments):
    done = subprocess.run(["node", Path(__file__).parent.parent / "node" / script, api.base, *map(str, arguments)], capture_output=True, text=True,
                          timeout=400, check=False, env={**os.environ, "NODE_ROOT": str(HOME / "node")})
    if done.returncode != 0:
        raise AssertionError(m.first_line(done.stderr or done.stdout))
    return done.stdout


def own():
    """A dataset, a chart of its own and a dashboard whose filter is clicked, as ada and as sam."""
    for user, count in m.ACCOUNTS.items():
        dataset = dataset_of(user)
        query = {"columns": ["region_id"], "metrics": [COUNT], "row_limit": 100}
        body = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full"}
        rows = api.call("POST", "/api/v1/chart/data", body)["result"][0]["data"]
        m.expect(f"accounts in the chart of {user}", sum(row["accounts"] for row in rows), count)
        of_emea = next(row["accounts"] for row in rows if row["region_id"] == "emea")
        pie = chart(dataset, f"Accounts of {user} by region", "pie", groupby=["region_id"], row_limit=100, show_labels=True)
        if user == "ada":
            in_browser("superset.mjs", pie, HOME / "superset.png")
        total = chart(dataset, f"Accounts that {user} sees", "big_number_total", y_axis_format=",d")
        made = dashboard(f"Accounts, as {user}", dataset, [total, pie])
        pictures = [HOME / f"superset-{user}.png", HOME / f"superset-{user}-emea.png"]
        shown = json.loads(in_browser("superset_dashboard.mjs", made, "emea", *pictures))
        m.expect(f"the number that {user} is shown, and after the filter", shown, [f"{count:,}", f"{of_emea:,}"])
    return "dataset, charts, a dashboard with a filter clicked in Chromium, as two users"


try:
    version = subprocess.run([BIN / "pip", "show", "apache-superset"], capture_output=True, text=True, check=False).stdout
    version = next((line.split(": ")[1] for line in version.splitlines() if line.startswith("Version")), "")
    m.run("Superset", version, {"connect": connect, "tables": tables, "describe": describe, "errors": errors, "fetch": fetch,
                                "policy": policy, "own": own})
finally:
    server.terminate()
    server.wait(30)
    shutil.rmtree(work, ignore_errors=True)
