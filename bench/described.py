"""Milliseconds that psql takes for `\\d` of relations of the demo, all its statements, in one session: the first time, and the best and the worst of
four more. Usage: described.py PORT; the password is in PGPASSWORD."""
import subprocess
import sys
import time

RELATIONS = ["accounts", "contacts", "opportunities", "cases", "employees"]
AGAIN = 4

psql = subprocess.Popen(["psql", "-qX", "-h", "127.0.0.1", "-p", sys.argv[1], "-U", "ada", "demo"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def described(relation):
    began = time.perf_counter()
    psql.stdin.write(f"\\d {relation}\n\\echo described\n")
    psql.stdin.flush()
    lines = 0
    for line in psql.stdout:
        if line == "described\n":
            break
        lines += 1
    if lines < 3:
        raise SystemExit(f"{relation} was not described")
    return (time.perf_counter() - began) * 1000


psql.stdin.write("\\echo described\n")
psql.stdout.readline()
print("| relation | first | best after | worst after |\n|---|---|---|---|")
for name in RELATIONS:
    first, *again = [described(name) for _ in range(1 + AGAIN)]
    print(f"| {name} | {first:.1f} | {min(again):.1f} | {max(again):.1f} |")
psql.stdin.close()
sys.exit(psql.wait())
