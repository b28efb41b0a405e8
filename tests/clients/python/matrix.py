"""The checks of the client matrix, and what the demo must answer; knows no client."""

import os
import re
import sys
import threading
import time
import traceback
from pathlib import Path

HOST = "127.0.0.1"
PORT = int(os.environ.get("GATE_PORT", "0"))
# Its door for Flight SQL.
FLIGHT = int(os.environ.get("GATE_FLIGHT") or 0)
DATABASE = "demo"
# Over which source changes are made.
SOURCE = os.environ.get("SOURCE", "")
CHECKS = ["connect", "tables", "describe", "types", "parameters", "errors", "cancel", "transactions", "fetch", "policy", "own"]

# What policy shows of the demo (see the guide that the demo prints).
ACCOUNTS = {"ada": 20000, "sam": 2157}
TABLES = {"ada": 22, "sam": 22, "iris": 15}
HIDDEN = {"employees": ["salary", "bonus"], "products": ["unit_cost"], "accounts": ["credit_limit"], "opportunities": ["margin_percent"]}
COLUMNS = {"ada": {"employees": 10, "products": 6, "accounts": 17}, "sam": {"employees": 8, "products": 5, "accounts": 16}}
LARGE = "select id, account_id, occurred_at, duration_ms from events order by id limit 50000"
LARGE_ROWS = 50000
SLOW = "select count(*) from events a join events b on a.duration_ms < b.duration_ms"


class Refused(Exception):
    """The gate refuses this on purpose, with a clear error; the text says why."""


class NotApplicable(Exception):
    """The client has no such feature."""


def password(user):
    return f"demo-{user}"


def uri(user, scheme="postgresql"):
    return f"{scheme}://{user}:{password(user)}@{HOST}:{PORT}/{DATABASE}"


def type_cases():
    """(name, expression, text) of each type."""
    rows = []
    for line in (Path(__file__).parent.parent / "types.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, expression, text = line.split("\t")
            rows.append((name, expression, None if name == "null" else text))
    return rows


def text_of(name, value):
    """A client's value as PostgreSQL's text."""
    import datetime
    import decimal
    import json

    if value is None:
        return None
    if name == "bool" and (isinstance(value, (bool, int)) or value in ("0", "1")):
        return "t" if value in (True, 1, "1") else "f"
    if name in ("float4", "float8") and isinstance(value, float):
        return repr(value) if value < 1e15 else f"{value:.0e}"
    if name == "bytea" and isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if name == "timestamptz" and isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return value.isoformat(" ") + "+00"
        return value.astimezone(datetime.timezone.utc).isoformat(" ")[:-3]
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.time):
        return value.isoformat().rstrip("0") if value.microsecond else value.isoformat()
    if isinstance(value, datetime.timedelta):
        hours, rest = divmod(value.seconds, 3600)
        return f"{value.days} days {hours:02}:{rest // 60:02}:{rest % 60:02}"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if name == "json" and isinstance(value, (dict, list)):
        return json.dumps(value)
    if name.endswith("[]") and not isinstance(value, str):
        return "{" + ",".join("NULL" if v is None else f'"{v}"' if isinstance(v, str) and " " in v else str(v) for v in value) + "}"
    return str(value)


def compare_types(read, skip=()):
    """`read(sql)` gives the one value of a query; all are read before the differences are told."""
    wrong = []
    cases = [c for c in type_cases() if c[0] not in skip]
    for name, expression, expected in cases:
        try:
            got = text_of(name, read(f"select {expression} as v"))
        except Exception as error:  # each client has its own
            got = f"error: {first_line(error)}"
        if got != expected:
            wrong.append(f"{name}: {got!r} instead of {expected!r}")
    if wrong:
        raise AssertionError("; ".join(wrong))
    return f"{len(cases)} types" + (f", not {', '.join(skip)}" if skip else "")


def first_line(error):
    return re.sub(r"\s+", " ", str(error)).strip()[:300] or type(error).__name__


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")


def expect_error(act, state_of, sqlstate, words=""):
    """`act` must fail with this SQLSTATE and these words in the text."""
    try:
        act()
    except Exception as error:  # each client has its own
        state = state_of(error)
        if state is not None or not words:
            expect(f"SQLSTATE of {first_line(error)!r}", state, sqlstate)
        if words not in str(error):
            raise AssertionError(f"error text {first_line(error)!r} has no {words!r}") from error
        return
    raise AssertionError(f"no error, expected {sqlstate}")


def cancel_after(cancel, run, state_of, seconds=1.0):
    """Runs `run` and calls `cancel` from another thread meanwhile; tells how long the answer took."""
    timer = threading.Timer(seconds, cancel)
    began = time.monotonic()
    timer.start()
    try:
        expect_error(run, state_of, "57014", "cancel")
    finally:
        timer.cancel()
    took = time.monotonic() - began - seconds
    if took > 10:
        raise AssertionError(f"answered {took:.1f} s after the cancel")
    return f"answered in {took:.1f} s"


def run(client, version, checks):
    """Prints one line per check: name, outcome, note."""
    print(f"client\t{client}\t{version}", flush=True)
    for name in os.environ.get("CHECKS", "").split() or CHECKS:
        check = checks.get(name)
        if check is None:
            print(f"{name}\tn/a\t", flush=True)
            continue
        try:
            outcome, note = "ok", check() or ""
        except Refused as refused:
            outcome, note = "refused", str(refused)
        except NotApplicable as reason:
            outcome, note = "n/a", str(reason)
        except BaseException as error:  # a panic of a native client included
            outcome, note = "FAIL", f"{type(error).__name__}: {first_line(error)}" if not isinstance(error, AssertionError) else str(error)
            if os.environ.get("MATRIX_TRACE"):
                traceback.print_exc(file=sys.stderr)
        print(f"{name}\t{outcome}\t{re.sub(chr(9) + '|' + chr(10), ' ', note)}", flush=True)
