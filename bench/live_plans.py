#!/usr/bin/env python3
"""Plan advice on a live source: the 22 statements of TPC-H through a gate that learns, many rounds, then interleaved rounds of a session
that follows advice and one that does not: `live_plans.py ADDRESS ROUNDS MEASURED`."""

import statistics
import sys
import time
from pathlib import Path

import psycopg

QUERIES = Path(__file__).resolve().parent.parent / "tests/tpch/queries"


def timed(connection, text):
    began = time.perf_counter()
    connection.execute(text).fetchall()
    return (time.perf_counter() - began) * 1000


def main():
    host, port = sys.argv[1].split(":")
    rounds, measured = int(sys.argv[2]), int(sys.argv[3])

    def session(*settings):
        connection = psycopg.connect(
            host=host, port=port, user="bench", password="bench", dbname="demo", autocommit=True, prepare_threshold=None
        )
        for setting in settings:
            connection.execute(setting)
        return connection

    advised, default = session(), session("SET querygate.learning = off")
    texts = {path.stem[1:]: path.read_text().strip().rstrip(";") for path in sorted(QUERIES.glob("q*.sql"))}
    learnt = [sum(timed(advised, text) for text in texts.values()) for _ in range(rounds)]
    times = {number: ([], []) for number in texts}
    for turn in range(measured):
        for number, text in texts.items():
            sides = [(advised, times[number][0]), (default, times[number][1])]
            for connection, taken in sides if turn % 2 else reversed(sides):
                taken.append(timed(connection, text))
    print(f"{rounds} rounds to learn from, the first {learnt[0]:.0f} ms, the last {learnt[-1]:.0f}; then {measured} of each in turns, medians\n")
    print("| query | default ms | advised ms | ÷ |\n|---|---|---|---|")
    totals, slower = [0.0, 0.0], []
    for number, sides in times.items():
        ours, usual = (statistics.median(side) for side in sides)
        totals = [totals[0] + usual, totals[1] + ours]
        if ours > 1.1 * usual:
            slower.append(number)
        print(f"| {number} | {usual:.1f} | {ours:.1f} | {ours / usual:.2f} |")
    print(f"| all | {totals[0]:.0f} | {totals[1]:.0f} | {totals[1] / totals[0]:.3f} |")
    print(f"\nslower by more than 10%: {', '.join(slower) or 'none'}\n")
    plans = "SELECT alternative, runs, mean_ms, ratio, template FROM querygate.plans WHERE state = 'pinned' ORDER BY ratio"
    print("| pinned | runs | mean ms | ÷ default | statement |\n|---|---|---|---|---|")
    for alternative, runs, mean, ratio, template in default.execute(plans).fetchall():
        print(f"| {alternative} | {runs} | {mean:.1f} | {ratio or 1:.2f} | {template[:60]} |")


if __name__ == "__main__":
    main()
