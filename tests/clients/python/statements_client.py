"""Statements of tools that cannot be installed, in the forms that are public: each is run as ada and as sam. The first argument is the
name of a file of `statements`. That the tool itself works over the gate is not shown by it."""

import re
import sys
from pathlib import Path

import matrix as m
import psycopg2

NAMES = {"datagrip": "DataGrip", "looker": "Looker", "powerbi": "Power BI", "tableau": "Tableau"}


def statements():
    text = (Path(__file__).parent.parent / f"statements/{sys.argv[1]}.sql").read_text()
    found = [re.sub(r"^--.*\n", "", part, flags=re.M).strip() for part in re.split(r";\n", text)]
    return [part for part in found if part]


def asked(user):
    """(statement, rows or None) of all, over one connection; all errors at once."""
    answers, wrong = [], []
    connection = psycopg2.connect(m.uri(user))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("set statement_timeout = '60s'")
        for sql in statements():
            try:
                cursor.execute(sql)
                answers.append((sql, cursor.fetchall() if cursor.description else None))
            except psycopg2.Error as error:
                wrong.append(f"{user}: {m.first_line(error)} at '{' '.join(sql.split())[:80]}'")
    connection.close()
    if wrong:
        raise AssertionError("; ".join(wrong))
    return answers


def policy():
    names = [name for columns in m.HIDDEN.values() for name in columns]
    for sql, rows in asked("sam"):
        shown = [name for name in names if any(name in row for row in rows or [])]
        m.expect(f"hidden columns of sam in '{' '.join(sql.split())[:60]}'", shown, [])


def own():
    answers = asked("ada")
    return f"{len(answers)} statements, {sum(len(rows or []) for _, rows in answers)} rows"


m.run(f"{NAMES[sys.argv[1]]}, statements only", "", {"policy": policy, "own": own})
