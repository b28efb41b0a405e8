#!/usr/bin/env python3
"""The statements of functions.txt, the gate and PostgreSQL in turns, each by a psql of its own: `functions.py GATE SERVER RUNS PATTERN`.
Prints a markdown table, the worst ratio first, and what is beyond twice PostgreSQL's time. Answers must be the same."""

import math
import re
import subprocess
import sys
from pathlib import Path

SECONDS_MAX = 120


class Server:
    """A psql that runs one statement after the other and says how long each took."""

    def __init__(self, address, database):
        host, port = address.split(":")
        command = ["psql", "-X", "-q", "-A", "-t", "-h", host, "-p", port, "-U", "bench", "-d", database]
        self.psql = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
            env={"PGPASSWORD": "bench", "PATH": "/usr/bin:/bin", "PGTZ": "UTC"},
        )
        self.run(f"SET statement_timeout = '{SECONDS_MAX}s'")

    def run(self, text):
        """Milliseconds and the answer."""
        self.psql.stdin.write(f"\\timing on\n{text};\n\\timing off\n\\echo <end>\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.strip() == "<end>":
                break
            lines.append(line.rstrip("\n"))
        taken = [line for line in lines if line.startswith("Time: ")]
        milliseconds = float(re.match(r"Time: ([0-9.]+) ms", taken[-1]).group(1))
        return milliseconds, [line for line in lines if not line.startswith(("Time: ", "Timing is"))]


def statements(pattern):
    lines = Path(__file__).with_suffix(".txt").read_text().splitlines()
    for line in lines:
        if line.startswith("#") or not re.search(pattern, line):
            continue
        yield line, line if line.startswith("SELECT") else f"SELECT count({line}) FROM facts"


def same(ours, theirs):
    """Equal, or equal in the first 9 digits: sums of doubles depend on the order of rows."""
    if sorted(ours) == sorted(theirs):
        return True
    numbers = [re.findall(r"-?[0-9.]+(?:e[-+]?[0-9]+)?", " ".join(answer)) for answer in (ours, theirs)]
    return len(numbers[0]) == len(numbers[1]) and all(
        a == b or math.isclose(float(a), float(b), rel_tol=1e-9) for a, b in zip(*numbers)
    )


def measured(gate, server, text, runs):
    ours, theirs, answers = [], [], None
    for _ in range(runs):
        spent, answer = gate.run(text)
        ours.append(spent)
        spent, wanted = server.run(text)
        theirs.append(spent)
        if answers is None:
            answers = answer, wanted
        # What takes long needs no second look to be known as slow.
        if max(ours) > 20_000:
            break
    return min(ours), min(theirs), answers


def main():
    gate, server, runs = Server(sys.argv[1], "bench"), Server(sys.argv[2], "postgres"), int(sys.argv[3])
    rows, refused = [], []
    for name, text in statements(sys.argv[4]):
        ours, theirs, (answer, wanted) = measured(gate, server, text, runs)
        if any(line.startswith("ERROR") for line in answer + wanted):
            refused.append((name, answer[:1], wanted[:1]))
        else:
            note = "" if same(answer, wanted) else f"answers differ: {answer[:2]} and {wanted[:2]}"[:200]
            rows.append((ours / theirs, name, ours, theirs, note))
        print(f"{ours:10.1f} {theirs:10.1f}  {name}", file=sys.stderr)
    rows.sort(reverse=True)
    print("| function | gate ms | PostgreSQL ms | ratio | |\n|---|---|---|---|---|")
    for ratio, name, ours, theirs, note in rows:
        print(f"| `{name.replace('|', chr(92) + '|')}` | {ours:.0f} | {theirs:.0f} | {ratio:.2f} | {note} |")
    for name, answer, wanted in refused:
        print(f"| `{name.replace('|', chr(92) + '|')}` | – | – | – | {answer} / {wanted} |")
    mean = math.exp(sum(math.log(row[0]) for row in rows) / max(1, len(rows)))
    beyond = sum(row[0] > 2 for row in rows)
    print(f"\n{len(rows)} of {len(rows) + len(refused)} answered, geometric mean {mean:.2f}, {beyond} beyond 2.")


main()
