"""pgAdmin 4: registers the gate as a server, browses to a user's tables, reads properties, SQL and columns of one, runs its query
tool, and opens the tree in a headless Chromium. Knows pgAdmin's HTTP endpoints, no catalog query."""

import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import matrix as m

HOME = Path(os.environ["CLIENTS_HOME"])
BIN = Path(sys.executable).parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


work = Path(tempfile.mkdtemp(prefix="querygate-pgadmin-"))
port = free_port()
package = next(BIN.parent.glob("lib/python*/site-packages/pgadmin4"))
(package / "config_local.py").write_text(f"""import os
_work = os.environ["PGADMIN_WORK"]
SERVER_MODE = False
MASTER_PASSWORD_REQUIRED = False
DATA_DIR = _work
LOG_FILE = _work + "/log"
SQLITE_PATH = _work + "/pgadmin.db"
SESSION_DB_PATH = _work + "/sessions"
STORAGE_DIR = _work + "/storage"
DEFAULT_SERVER = "127.0.0.1"
DEFAULT_SERVER_PORT = int(os.environ["PGADMIN_PORT"])
UPGRADE_CHECK_ENABLED = False
USE_OS_SECRET_STORAGE = False
""")
log = open(work / "output", "w")
server = subprocess.Popen([BIN / "pgadmin4"], stdout=log, stderr=log,
                          env={**os.environ, "PGADMIN_WORK": str(work), "PGADMIN_PORT": str(port), "HOME": str(work)})
base = f"http://127.0.0.1:{port}"
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
token = None
servers = {}


def call(method, path, body=None):
    request = urllib.request.Request(base + path, method=method)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("X-pgA-CSRFToken", token)
    try:
        with opener.open(request, None if body is None else json.dumps(body).encode(), timeout=120) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{path}: {error.code} {error.read().decode()[:400]}") from error
    return json.loads(text) if text.startswith(("{", "[")) else text


def connected(user):
    """(server, database, schema) ids of a connection as the user."""
    if user not in servers:
        body = {"name": f"gate as {user}", "host": m.HOST, "port": m.PORT, "db": m.DATABASE, "username": user, "password": m.password(user),
                "connect_now": True, "save_password": False, "gid": 1, "comment": "", "connection_params": [{"name": "sslmode", "keyword": "sslmode", "value": "disable"}]}
        node = call("POST", "/browser/server/obj/1/", body)["node"]
        sid = node["_id"]
        if not node.get("connected"):
            call("POST", f"/browser/server/connect/1/{sid}", {"password": m.password(user)})
        databases = call("GET", f"/browser/database/nodes/1/{sid}/")["data"]
        did = next(node["_id"] for node in databases if node["label"] == m.DATABASE)
        call("POST", f"/browser/database/connect/1/{sid}/{did}")
        schemas = call("GET", f"/browser/schema/nodes/1/{sid}/{did}/")["data"]
        scid = next(node["_id"] for node in schemas if node["label"] == "public")
        servers[user] = (sid, did, scid)
    return servers[user]


def tables_of(user, kinds=("table",)):
    sid, did, scid = connected(user)
    nodes = [node for kind in kinds for node in call("GET", f"/browser/{kind}/nodes/1/{sid}/{did}/{scid}/")["data"]]
    return {node["label"]: node["_id"] for node in nodes}


def connect():
    global token
    until = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{base}/misc/ping", timeout=5)
            break
        except OSError:
            if time.monotonic() > until or server.poll() is not None:
                raise RuntimeError((work / "output").read_text()[-500:]) from None
            time.sleep(0.5)
    call("GET", "/browser/")
    script = call("GET", "/browser/js/utils.js")
    token = re.search(r"csrf_token['\"]?\]?\s*[:=]\s*['\"]([^'\"]+)['\"]", script).group(1)
    connected("ada")


def tables():
    for user, count in m.TABLES.items():
        found = tables_of(user, ("table", "view"))
        m.expect(f"tables of {user}", len(found), count)
        m.expect(f"employees for {user}", "employees" in found, user != "iris")


def describe():
    for user in ("ada", "sam"):
        sid, did, scid = connected(user)
        tid = tables_of(user)["employees"]
        columns = call("GET", f"/browser/column/nodes/1/{sid}/{did}/{scid}/{tid}/")["data"]
        m.expect(f"columns of employees for {user}", len(columns), m.COLUMNS[user]["employees"])
        properties = call("GET", f"/browser/table/obj/1/{sid}/{did}/{scid}/{tid}")
        m.expect("name in the properties", properties["name"], "employees")
        script = call("GET", f"/browser/table/sql/1/{sid}/{did}/{scid}/{tid}")
        m.expect(f"salary in the script for {user}", "salary" in str(script), user == "ada")
        for kind in ("stats", "dependency", "dependent"):
            call("GET", f"/browser/table/{kind}/1/{sid}/{did}/{scid}/{tid}")
    return "properties, columns, script, statistics, dependencies"


def query(user, sql):
    sid, did, _ = connected(user)
    number = time.time_ns() % 10**7
    call("POST", f"/sqleditor/initialize/sqleditor/{number}/1/{sid}/{did}", {"user": user, "password": m.password(user), "dbname": m.DATABASE})
    call("POST", f"/sqleditor/query_tool/start/{number}", {"sql": sql, "explain_plan": None})
    for _ in range(600):
        answer = call("GET", f"/sqleditor/poll/{number}")["data"]
        if answer["status"] not in ("Busy", "NotInitialized"):
            call("DELETE", f"/sqleditor/close/{number}")
            return answer
        time.sleep(0.1)
    raise AssertionError("the query tool does not answer")


def errors():
    try:
        answer = query("ada", "select no_such from regions")
    except RuntimeError as error:
        answer = {"result": str(error).replace('\\"', '"')}
    for words in ('column "no_such" does not exist', "42703", "Character: 8"):
        if words not in str(answer["result"]):
            raise AssertionError(f"no {words!r} in {str(answer)[:300]}")


def policy():
    for user, count in m.ACCOUNTS.items():
        answer = query(user, "select count(*) from accounts")
        m.expect(f"accounts of {user}", str(answer["result"]), f"[['{count}']]")


def own():
    connected("ada")
    script = Path(__file__).parent.parent / "node/pgadmin.mjs"
    picture = HOME / "pgadmin.png"
    path = ["Servers", "gate as ada", "Databases", "demo", "Schemas", "public", "Tables"]
    done = subprocess.run(["node", script, base, picture, m.password("ada"), *path], capture_output=True, text=True, timeout=300,
                          check=False, env={**os.environ, "NODE_ROOT": str(HOME / "node")})
    if done.returncode != 0:
        raise AssertionError(m.first_line(done.stderr or done.stdout))
    return f"the tree down to the tables in Chromium ({picture.stat().st_size // 1024} KB)"


try:
    version = subprocess.run([BIN / "pip", "show", "pgadmin4"], capture_output=True, text=True, check=False).stdout
    version = next((line.split(": ")[1] for line in version.splitlines() if line.startswith("Version")), "")
    m.run("pgAdmin 4", version, {"connect": connect, "tables": tables, "describe": describe, "errors": errors, "policy": policy, "own": own})
finally:
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
    shutil.rmtree(work, ignore_errors=True)
