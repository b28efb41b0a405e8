"""engine/docs/clients/changes.md."""

from installed import ROOT

HEADINGS = {
    "insert": "Insert", "update": "Update", "delete": "Delete", "upsert": "Upsert", "returning": "RETURNING", "copy": "COPY",
    "savepoints": "Savepoints", "refusals": "Refusals", "own": "Its own", "stored": "Stored",
}
MARKS = {"ok": "✓", "refused": "○", "n/a": "–", "FAIL": "✗"}
INTRODUCTION = """# Clients that change rows

Unmodified clients against a gate with `[writes]`, over PostgreSQL 15 and over a SQLite file; where one sign stands, both are alike. The
metadata is what `querygate introspect` wrote, opened for changes, with a row policy (`region == current_user.region`, also as CHECK)
and a validation. Written by `tests/clients/changes/run`.

- **Insert**: values of every common type as parameters, several rows in one statement, keys that the source gives.
- **Update**, **Delete**: by key and by condition, the number of changed rows; a row of another region is none.
- **Upsert**: ON CONFLICT DO UPDATE on a taken and on a free key, DO NOTHING.
- **RETURNING**: of all three.
- **COPY**: FROM STDIN in the formats that the client writes.
- **Savepoints**: an error inside is undone, what was before stays; a transaction that is rolled back leaves nothing.
- **Refusals**: 42501 for a row outside CHECK, 23514 with the rule's message, 23505, 23502, 23503, 22001, 0A000 for DDL; the session works
  afterwards.
- **Its own**: what only this client does.
- **Stored**: afterwards, the source itself has exactly these rows, and those of another region as they were.

✓ as with PostgreSQL · ○ refused, explained below · – the client has no such thing · ✗ wrong, explained below
"""


def cell(found, check):
    marks = [MARKS[each[check][0]] for each in found.values()]
    return marks[0] if len(set(marks)) == 1 else "/".join(marks)


def write(results):
    results = list(results)
    out = [INTRODUCTION, "| client | version | " + " | ".join(HEADINGS.values()) + " |", "|---|---|" + ":-:|" * len(HEADINGS)]
    for label, version, found in results:
        out.append(f"| {label} | {version} | " + " | ".join(cell(found, check) for check in HEADINGS) + " |")
    for title, outcome in (("What each did", "ok"), ("Refused", "refused"), ("Wrong", "FAIL")):
        lines = []
        for label, _, found in results:
            for check in HEADINGS:
                notes = {}
                for over, each in found.items():
                    if each[check][0] == outcome and each[check][1]:
                        notes.setdefault(each[check][1].replace("|", "\\|"), []).append(over)
                for note, over in notes.items():
                    where = "" if len(over) == len(found) else f" (over {', '.join(over)})"
                    lines.append(f"| {label} | {HEADINGS[check]} | {note}{where} |")
        if lines:
            out += ["", f"## {title}", "", "| client | check | |", "|---|---|---|", *lines]
    file = ROOT / "engine/docs/clients/changes.md"
    file.write_text("\n".join(out) + "\n")
