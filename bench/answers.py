"""Whether the gate gave the rows that DuckDB gives: the same ones in any order, each value equal. Numbers with a point may differ by one
in the last place that the gate gives, or beyond nine digits: DuckDB's means are floating-point numbers, the gate's are decimals. The
gate's rows lie in one Parquet file for each statement; see `ANSWERS` of the examples."""

from decimal import Decimal
from pathlib import Path


def is_number(value):
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def key(row):
    """An order that differences within the tolerance seldom change."""
    exact = tuple(str(value).rstrip() for value in row if not is_number(value) or isinstance(value, int))
    return exact, tuple(float(f"{float(value):.5g}") for value in row if isinstance(value, (float, Decimal)))


def equals(ours, theirs):
    if not (is_number(ours) and is_number(theirs)):
        # `char(n)` is filled with blanks.
        return str(ours).rstrip() == str(theirs).rstrip() and (ours is None) == (theirs is None)
    if isinstance(ours, int) and isinstance(theirs, int):
        return ours == theirs
    places = -ours.as_tuple().exponent if isinstance(ours, Decimal) else 0
    least = 10.0 ** -places if places > 0 else 0.0
    return abs(float(ours) - float(theirs)) <= max(least, abs(float(theirs)) * 1e-9)


def rows_of(connection, path):
    """The rows of a file of the gate's; none where it wrote no file, for then there were none."""
    if not Path(path).is_file():
        return []
    return connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()


def difference(found, expected):
    """The first row that differs, as text. `None`: they are the same."""
    pairs = zip(sorted(found, key=key), sorted(expected, key=key))
    wrong = next((pair for pair in pairs if len(pair[0]) != len(pair[1]) or not all(map(equals, *pair))), None)
    if len(found) == len(expected) and wrong is None:
        return None
    ours, theirs = wrong or (None, None)
    return f"{ours} against {theirs}; {len(found)} rows against {len(expected)}"
