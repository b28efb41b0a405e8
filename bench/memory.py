"""Resident memory of a gate while statements that are made to take more than their limit run, one after another and eight at once: a picture
beside the limits, and a table. Usage: memory.py QUERYGATE OUT.svg. Needs psql.

The allocator gives back at once, so that what the process has is what is held."""
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

MB = 1 << 20
EACH, TOTAL = 64, 256
STATEMENTS = [
    ("array_replace", "SELECT array_replace(array_fill('a'::text, ARRAY[1000000]), 'a', repeat('b', 1000))"),
    ("string_to_array", "SELECT string_to_array(repeat('a,', 20000000), ',')::text"),
    ("first_value", "SELECT count(x) FROM (SELECT first_value(array_fill(1, ARRAY[1000])) OVER () AS x FROM generate_series(1, 1000000) g) q"),
    ("lag", "SELECT lag(repeat('x', 10000)) OVER () FROM generate_series(1, 100000)"),
    ("= ANY", "SELECT count(*) FROM events e WHERE e.kind = ANY (ARRAY(SELECT repeat('y', 10000) FROM generate_series(1, 1000) g))"),
    ("quote_literal", "SELECT quote_literal(repeat('''', 30000000))"),
    ("join by <", "SELECT count(*) FROM (SELECT repeat('y', 10000) AS x FROM generate_series(1, 1000) g) a LEFT JOIN (SELECT repeat('y', 10000) AS x FROM generate_series(1, 1000) g) b ON a.x < b.x"),
    ("array_agg", "SELECT length(array_agg(repeat('x', 1000))::text) FROM generate_series(1, 1000000) g"),
    ("hash join", "SELECT count(*) FROM (SELECT g, repeat('x', 500) AS x FROM generate_series(1, 1000000) g) a JOIN (SELECT g, repeat('y', 500) AS y FROM generate_series(1, 1000000) g) b USING (g) WHERE x < y"),
    ("sort", "SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY x) AS r FROM (SELECT md5(g::text) || repeat('z', 200) AS x FROM generate_series(1, 500000) g) s) q"),
    ("groups", "SELECT count(*) FROM (SELECT md5(g::text) AS x, count(*) FROM generate_series(1, 1000000) g GROUP BY 1) q"),
    ("constants", "SELECT " + ", ".join("repeat('x', 10000000)" for _ in range(20))),
]


class Gate:
    def __init__(self, binary, folder):
        subprocess.run([binary, "demo", "--seed-only", "--dir", folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        file = os.path.join(folder, "querygate.toml")
        text = open(file).read()
        text = re.sub(r'memory_total = "[^"]*"', f'memory_total = "{TOTAL}MB"\nmemory_per_user = "{TOTAL}MB"', text)
        text = re.sub(r'memory_per_query = "[^"]*"', f'memory_per_query = "{EACH}MB"', text)
        open(file, "w").write(text)
        doors = ["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
        env = dict(os.environ, _RJEM_MALLOC_CONF="dirty_decay_ms:0,muzzy_decay_ms:0")
        self.process = subprocess.Popen([binary, "serve", "-c", file, *doors], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"querygate serves postgres on [^:]*:(\d+)", line)
            if found:
                self.port = found[1]
                break
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def resident(self):
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * 4096

    def ask(self, sql, seconds=10):
        env = dict(os.environ, PGPASSWORD="demo-ada", PGOPTIONS=f"-c statement_timeout={seconds * 1000}")
        asked = ["psql", "-qAtX", "-v", "VERBOSITY=verbose", "-h", "127.0.0.1", "-p", self.port, "-U", "ada", "demo", "-c", sql]
        said = subprocess.run(asked, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
        code = re.search(r"ERROR:  (\w{5}):", said)
        return code[1] if code else "rows"


def picture(out, samples, marks, limits):
    width, height, left, top = 1200, 420, 60, 30
    end = samples[-1][0]
    most = max(max(mb for _, mb in samples), max(mb for _, mb, _ in limits)) * 1.1
    x = lambda at: left + at / end * (width - left - 20)
    y = lambda mb: top + (1 - mb / most) * (height - top - 40)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for number, (begins, ends, name) in enumerate(marks):
        if number % 2 == 0:
            parts.append(f'<rect x="{x(begins):.1f}" y="{top}" width="{x(ends) - x(begins):.1f}" height="{height - top - 40}" fill="#f2f4f7"/>')
        level = height - 24 + 14 * (number % 2)
        parts.append(f'<text x="{(x(begins) + x(ends)) / 2:.1f}" y="{level}" text-anchor="middle" fill="#333">{name.replace("<", "&lt;")}</text>')
    for begins, mb, name in limits:
        parts.append(f'<line x1="{x(begins):.1f}" x2="{width - 20}" y1="{y(mb):.1f}" y2="{y(mb):.1f}" stroke="#c0392b" stroke-dasharray="6 4"/>')
        parts.append(f'<text x="{x(begins) + 4:.1f}" y="{y(mb) - 4:.1f}" fill="#c0392b">{name}</text>')
    points = " ".join(f"{x(at):.1f},{y(max(mb, 0)):.1f}" for at, mb in samples)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.2"/>')
    for mb in range(0, int(most), 50):
        parts.append(f'<text x="{left - 6}" y="{y(mb) + 4:.1f}" text-anchor="end" fill="#666">{mb}</text>')
    parts.append(f'<text x="{left}" y="18" fill="#333">MB of resident memory more than at rest</text></svg>')
    open(out, "w").write("\n".join(parts) + "\n")


def main(binary, out):
    with tempfile.TemporaryDirectory() as folder:
        gate = Gate(binary, folder)
        try:
            for _ in range(3):
                gate.ask("SELECT count(*) FROM events")
            time.sleep(1)
            rest, began, samples, over = gate.resident(), time.monotonic(), [], threading.Event()

            def watch():
                while not over.is_set():
                    samples.append((time.monotonic() - began, (gate.resident() - rest) / MB))
                    time.sleep(0.002)

            watching = threading.Thread(target=watch)
            watching.start()
            marks = []
            print("| statement | ends with | s | MB more than at rest |\n|---|---|---|---|")

            def marked(name, work):
                begins = time.monotonic() - began
                said = work()
                ends = time.monotonic() - began
                time.sleep(0.2)
                marks.append((begins, ends, name))
                grown = max(mb for at, mb in samples if begins <= at)
                print(f"| {name} | {said} | {ends - begins:.1f} | {grown:.0f} |", flush=True)

            for name, sql in STATEMENTS:
                marked(name, lambda: gate.ask(sql))
            together = time.monotonic() - began

            def at_once():
                codes = []
                threads = [threading.Thread(target=lambda sql=sql: codes.append(gate.ask(sql))) for _, sql in STATEMENTS[:8]]
                [thread.start() for thread in threads]
                [thread.join() for thread in threads]
                return ", ".join(sorted(codes))

            marked("eight at once", at_once)
            marked("at rest", lambda: time.sleep(2) or "")
            over.set()
            watching.join()
        finally:
            gate.process.terminate()
        limits = [(0, EACH, f"limit of a statement, {EACH} MB"), (0, EACH * 1.25, "and a quarter"),
                  (together, TOTAL, f"limit of all, {TOTAL} MB")]
        picture(out, samples, marks, limits)


main(*sys.argv[1:])
