#!/usr/bin/env python3
"""What workers take and give, from the lines that `bench/run workers` has written: `workers_table.py LINES`. A line: gate, mode, user,
statement, nanoseconds, ticks of the gate and of the workers before and after, bytes that workers gave, a sum of the answer."""

import math
import sys

TICKS = 100.0
# The model's gate: its cores, and bytes a second of its network (10 Gbit/s).
GATE_CORES = 8
NETWORK = 1.25e9


def main():
    best, cpu, moved, answers = {}, {}, {}, {}
    for line in open(sys.argv[1]):
        gate, mode, user, statement, *numbers, answer = line.split()
        took, gate_before, workers_before, gate_after, workers_after, given = map(int, numbers)
        key = (gate, mode, user, statement)
        spent = (gate_after - gate_before, workers_after - workers_before)
        best[key] = min(best.get(key, math.inf), took / 1e9)
        if sum(spent) <= sum(cpu.get(key, (math.inf, 0))):
            cpu[key] = spent
        moved[key] = given
        if answer != "-":
            answers.setdefault((user, statement), set()).add(answer)
    ways = list(dict.fromkeys((gate, mode) for gate, mode, _, _ in best))
    for user in dict.fromkeys(user for _, _, user, _ in best):
        statements = sorted({statement for _, _, of, statement in best if of == user})
        print(f"\n#### As {user}\n")
        print("| statement | " + " | ".join(f"{gate} {mode} s | CPU s | workers' | MB" for gate, mode in ways) + " |")
        print("|" + "---|" * (1 + 4 * len(ways)))
        for statement in statements:
            cells = []
            for gate, mode in ways:
                key = (gate, mode, user, statement)
                if key not in best:
                    cells.append("failed | | |")
                    continue
                own, theirs = cpu[key]
                cells.append(f"{best[key]:.2f} | {(own + theirs) / TICKS:.2f} | {theirs / TICKS:.2f} | {moved[key] / 1e6:.2f}")
            print(f"| {statement} | " + " | ".join(cells) + " |")
        print("\n| way | together s | ÷ alone | geometric mean | CPU s | ÷ alone | MB from workers |\n|---|---|---|---|---|---|---|")
        alone = [(ways[0][0], ways[0][1], user, statement) for statement in statements]
        for gate, mode in ways:
            keys = [(gate, mode, user, statement) for statement in statements]
            pairs = [(mine, base) for mine, base in zip(keys, alone) if mine in best and base in best]
            time = sum(best[mine] for mine, _ in pairs)
            base = sum(best[of] for _, of in pairs)
            mean = math.exp(sum(math.log(best[mine] / best[of]) for mine, of in pairs) / len(pairs))
            spent = sum(sum(cpu[mine]) for mine, _ in pairs) / TICKS
            spent_alone = sum(sum(cpu[of]) for _, of in pairs) / TICKS
            sent = sum(moved[mine] for mine, _ in pairs) / 1e6
            print(f"| {gate} {mode} | {time:.1f} | {time / base:.2f} | {mean:.2f} | {spent:.1f} | {spent / spent_alone:.3f} | {sent:.1f} |")
        for gate, mode in ways:
            if gate == "one":
                model(gate, mode, user, statements, best, cpu, moved, alone)
    differing = [key for key, found in answers.items() if len(found) > 1]
    print(f"\nStatements with another answer in some way: {differing or 'none'}")
    if differing:
        sys.exit(1)


def model(gate, mode, user, statements, best, cpu, moved, alone):
    """Times with more workers, of what one worker was measured to take: its CPU divided among them, then the gate's among its cores or the
    network, whichever takes longer; nothing overlaps. Parts are as many as workers, and equally large."""
    measured = [(cpu[key], moved[key], best[base]) for key, base in
                (((gate, mode, user, statement), base) for statement, base in zip(statements, alone)) if key in cpu and base in best]
    if not measured:
        return
    print(f"\nModel of `{mode}`: " + "; ".join(
        f"{workers} workers {together:.1f} s, {faster:.2f} of the gate alone on {GATE_CORES} cores"
        for workers in (1, 4, 16, 64)
        for together in [sum(theirs / TICKS / workers + max(own / TICKS / GATE_CORES, sent / NETWORK) for (own, theirs), sent, _ in measured)]
        for faster in [together / (sum(base for *_, base in measured) / GATE_CORES)]) + ".")


if __name__ == "__main__":
    main()
