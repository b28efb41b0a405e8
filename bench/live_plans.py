#!/usr/bin/env python3
"""Plan advice on a live source: the 22 statements of TPC-H, and those of STATS-CEB that the server itself answers in time, through a
gate that learns, round after round until nothing is being tried or the time is over; then interleaved rounds of a session that
follows advice, one that does not, and the server itself. `live_plans.py GATE SERVER CEB SLOWEST_MS LEARN_SECONDS ROUNDS`; CEB is a file, or `-`."""

import re
import statistics
import sys
import time
from pathlib import Path

import psycopg

QUERIES = Path(__file__).resolve().parent.parent / "tests/tpch/queries"
# Nothing more is tried for so many rounds: it is settled.
QUIET = 40
# The server goes over to a plan for any values after five runs of a prepared statement on a connection, so both sessions run each
# statement so often before it counts.
SETTLED = 6


def connected(address, database, *settings):
    host, port = address.split(":")
    connection = psycopg.connect(
        host=host, port=port, user="bench", password="bench", dbname=database, autocommit=True, prepare_threshold=None
    )
    for setting in settings:
        connection.execute(setting)
    return connection


def timed(connection, text):
    began = time.perf_counter()
    connection.execute(text).fetchall()
    return (time.perf_counter() - began) * 1000


def tpch():
    return {f"TPC-H {path.stem[1:]}": path.read_text().strip().rstrip(";") for path in sorted(QUERIES.glob("q*.sql"))}


def stats(file, server, slowest):
    """Chosen by the server's own time: the best of two runs of the text itself, no gate between."""
    chosen, left = {}, 0
    if file == "-":
        return chosen, left
    lines = Path(file).read_text().splitlines()
    server.execute(f"SET statement_timeout = {10 * slowest}")
    for comment, text in zip(lines[::2], lines[1::2]):
        text = text.strip().rstrip(";")
        try:
            fits = min(timed(server, text) for _ in range(2)) <= slowest
        except psycopg.errors.QueryCanceled:
            fits = False
        left += not fits
        if fits:
            number = re.search(r"query_id=(\d+)", comment).group(1)
            chosen[f"STATS {number}"] = text
    server.execute("RESET statement_timeout")
    return chosen, left


def learn(advised, operator, texts, seconds):
    """Rounds until no plan has been tried for a while, or the time is over; their times."""
    tried = "SELECT coalesce(sum(runs), 0) FROM querygate.plans WHERE alternative <> 'default' AND state <> 'pinned'"
    began, taken, last, quiet = time.perf_counter(), [], -1, 0
    while quiet < QUIET and time.perf_counter() - began < seconds:
        taken.append(sum(timed(advised, text) for text in texts.values()))
        now = operator.execute(tried).fetchone()[0]
        quiet, last = (quiet + 1 if now == last else 0), now
    return taken, time.perf_counter() - began


def table(name, times):
    """One line of the sums of a family; who is slower."""
    usual, ours, straight = (sum(statistics.median(sides[at]) for sides in times.values()) for at in range(3))
    slower = [one for one, sides in times.items() if statistics.median(sides[1]) > 1.1 * statistics.median(sides[0])]
    print(f"| {name} | {len(times)} | {straight:.0f} | {usual:.0f} | {ours:.0f} | {ours / usual:.3f} | {len(slower)} |")
    return slower


def main():
    gate, server, file, slowest, seconds, rounds = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])
    straight, advised = connected(server, "postgres"), connected(gate, "demo")
    default = connected(gate, "demo", "SET querygate.learning = off")
    ceb, left = stats(file, straight, slowest)
    texts = {**tpch(), **ceb}
    taken, spent = learn(advised, default, texts, seconds)
    times = {name: ([], [], []) for name in texts}
    for connection in (default, advised):
        for _ in range(SETTLED):
            for text in texts.values():
                timed(connection, text)
    for turn in range(rounds):
        for name, text in texts.items():
            sides = [(default, text, 0), (advised, text, 1), (straight, text, 2)]
            for at in range(3):
                connection, asked, side = sides[(turn + at) % 3]
                times[name][side].append(timed(connection, asked))
    print(f"{len(ceb)} of STATS-CEB, answered by the server itself within {slowest} ms ({left} are not). {len(taken)} rounds to learn from in")
    print(f"{spent:.0f} s, the first {taken[0]:.0f} ms, the last {taken[-1]:.0f}; then {rounds} of each in turns, medians.\n")
    print("| | statements | the server itself ms | default ms | advised ms | ÷ default | slower by > 10% |\n|---|---|---|---|---|---|---|")
    for family in ("TPC-H", "STATS"):
        some = {name: sides for name, sides in times.items() if name.startswith(family)}
        if some:
            table(family, some)
    slower = table("all", times)
    print(f"\nslower by more than 10%: {', '.join(slower) or 'none'}\n")
    print("| statement | the server itself ms | default ms | advised ms | ÷ |\n|---|---|---|---|---|")
    for name, sides in times.items():
        usual, ours, own = (statistics.median(side) for side in sides)
        print(f"| {name} | {own:.1f} | {usual:.1f} | {ours:.1f} | {ours / usual:.2f} |")
    plans = "SELECT alternative, count(*) FROM querygate.plans WHERE state = 'pinned' GROUP BY alternative ORDER BY 2 DESC"
    print("\n| pinned | statements |\n|---|---|")
    for alternative, count in default.execute(plans).fetchall():
        print(f"| {alternative} | {count} |")


if __name__ == "__main__":
    main()
